"""What surrounds a training and a reconstruction, whichever backend computes them."""

"""What the historical names of this backend stand for."""

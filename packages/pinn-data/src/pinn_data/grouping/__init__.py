"""Groups of neighbouring scan points, and the stacks of patterns that a network takes."""

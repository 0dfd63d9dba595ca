"""The physics of a group of patterns in PyTorch, and the sum of patches into one image."""

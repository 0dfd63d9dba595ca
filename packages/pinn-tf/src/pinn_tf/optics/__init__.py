"""The physics of a group of patterns in TensorFlow, and the sum of patches into one image."""

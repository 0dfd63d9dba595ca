"""The configurations under their historical package name."""

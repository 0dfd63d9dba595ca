"""The physics of a scan in NumPy: the reference that every backend is held against."""

"""Reconstructions compared: with the truth, with another half of the scan, with each other."""

"""The command line of the PyTorch backend under its historical name."""

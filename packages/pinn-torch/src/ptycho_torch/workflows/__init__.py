"""The workflows of the PyTorch backend under their historical name."""

"""What is in a file, in words and pictures."""

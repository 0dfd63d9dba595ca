"""What a program sets, gives and cancels: the parts of `Reconstructor`."""

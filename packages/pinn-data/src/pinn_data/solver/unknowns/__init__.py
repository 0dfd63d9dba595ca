"""What the solver finds besides the object: each unknown of a scan has a module."""

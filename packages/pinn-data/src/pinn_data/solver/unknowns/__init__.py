"""What each pass corrects besides the object and the probe: one module for each unknown."""

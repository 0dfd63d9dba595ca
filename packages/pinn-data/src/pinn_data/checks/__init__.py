"""Whether a scan and an image are to be trusted: checks before the work, and a verdict after it."""

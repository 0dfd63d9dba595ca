"""One image from many overlapping patches."""

"""How good an image is: scores, ring correlation, and the alignment before both."""

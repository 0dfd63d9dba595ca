"""One reconstruction: the network's image, and the solver before and after it."""

"""Historical names: what runs a whole reconstruction."""

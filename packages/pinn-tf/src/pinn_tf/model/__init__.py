"""The network, the trainable module around it, and what a step of learning minimises."""

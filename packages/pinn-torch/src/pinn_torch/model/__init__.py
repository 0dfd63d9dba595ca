"""The network, its Lightning module, and what a step of learning minimises."""

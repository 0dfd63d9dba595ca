"""The iterations of the solver: descent, polish, and what they minimise."""

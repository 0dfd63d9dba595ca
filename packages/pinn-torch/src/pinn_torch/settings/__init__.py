"""The settings of a run under the names of this backend, and how they become the canonical ones."""

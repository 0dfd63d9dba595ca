"""The stages of a solution: first probe, descent from coarse to fine, affine search, polish."""

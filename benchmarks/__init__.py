"""How fast and how large: `python -m benchmarks` prints one table of ratios within one run."""

"""Hostile files, made by the hundred thousand, and what every reader of a user's file must do with them.

``python -m tests.fuzz --count 100000 --seed 0`` from the root of the repository; docs/testing.md says what is
checked. A case is a function of (seed, number) alone.
"""

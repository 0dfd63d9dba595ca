"""Figures of trainings, reconstructions and comparisons."""

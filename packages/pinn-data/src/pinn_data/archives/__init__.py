"""Trained models as both backends store them, without their frameworks."""

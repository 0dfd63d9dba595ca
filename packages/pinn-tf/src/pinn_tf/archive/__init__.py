"""Trained models as archives, and archives opened for a client."""

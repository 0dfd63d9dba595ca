"""Shared parts of several commands: settings, quantities, output files, messages."""

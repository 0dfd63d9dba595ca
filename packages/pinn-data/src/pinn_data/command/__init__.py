"""Shared parts of all commands: flags, parser, exit codes, signals, processes."""

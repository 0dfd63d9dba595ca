"""What the archive reader and writer raise.

Each class derives from the builtin that a caller already catches. Errors of the file system that have nothing
to do with the format (no permission, disk full) keep their own builtin class.
"""

__all__ = ["ArchiveError", "ArchiveNotFoundError"]


class ArchiveError(ValueError):
    """An archive breaks the written format, or something was to be written that the format does not hold."""


class ArchiveNotFoundError(FileNotFoundError):
    """There is no archive at the path that was given."""

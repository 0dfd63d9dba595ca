"""What the archive reader and writer raise.

Each class derives from the builtin that a caller already catches. Errors of the file system that have nothing
to do with the format (no permission, disk full) keep their own builtin class.
"""

__all__ = ["ArchiveError", "ArchiveNotFoundError", "ForeignArchiveError"]


class ArchiveError(ValueError):
    """An archive breaks the written format, or something was to be written that the format does not hold."""


class ForeignArchiveError(ArchiveError):
    """A model archive of the public implementation, of the backend `backend`: sound perhaps, but not ours."""

    def __init__(self, where: str, backend: str) -> None:
        super().__init__(where, backend)
        self.where, self.backend = where, backend

    def told_by(self, reader: str) -> str:
        """The sentence, with the name of who was to open the archive."""
        return (
            f"{self.where} was written by the backend {self.backend!r} of the public implementation, which "
            f"can open it: it is no archive of ours, and {reader} does not open it, because such archives "
            "hold pickled code; train the model again"
        )

    def __str__(self) -> str:
        return self.told_by("pinn-archive")


class ArchiveNotFoundError(FileNotFoundError):
    """There is no archive at the path that was given."""

"""What a program's file dialogs offer (specification, section 4.1)."""

from __future__ import annotations

import attrs
from pinn_archive import FILE_NAME as MODEL_FILE_NAME

__all__ = ["MODEL_FILES", "MODEL_FILE_NAME", "TRAINING_DATA_FILES", "FileFilter"]


@attrs.frozen
class FileFilter:
    """Files of one kind: `text` for a person, `patterns` as a shell has them.

    >>> str(FileFilter("PtychoPINN Models", ("*.zip",)))
    'PtychoPINN Models (*.zip)'
    """

    text: str
    patterns: tuple[str, ...]

    def __str__(self) -> str:
        """As Qt's file dialogs want it."""
        return f"{self.text} ({' '.join(self.patterns)})"


MODEL_FILES = FileFilter("PtychoPINN Models", ("*.zip",))
TRAINING_DATA_FILES = FileFilter("NumPy Zipped Archives", ("*.npz",))

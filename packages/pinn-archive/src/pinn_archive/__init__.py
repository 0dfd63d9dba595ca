"""The model archive ``wts.h5.zip``: a written format (`FORMAT.md`), a reader that runs nothing, an atomic
writer."""

from pinn_archive.contents import Archive, ModelPayload
from pinn_archive.errors import ArchiveError, ArchiveNotFoundError, ForeignArchiveError
from pinn_archive.layout import FILE_NAME, VERSION, archive_path
from pinn_archive.manifest import Manifest
from pinn_archive.reader import find_archive, read_archive, read_manifest
from pinn_archive.writer import write_archive

__version__ = "0.1.0"
__all__ = [
    "FILE_NAME",
    "VERSION",
    "Archive",
    "ArchiveError",
    "ArchiveNotFoundError",
    "ForeignArchiveError",
    "Manifest",
    "ModelPayload",
    "archive_path",
    "find_archive",
    "read_archive",
    "read_manifest",
    "write_archive",
]

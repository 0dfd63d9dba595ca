"""What lies in a file or folder that is no archive of this format, to say whose it may be."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

from pinn_archive.errors import ArchiveError
from pinn_archive.layout import (
    MANIFEST_DILL,
    MANIFEST_JSON,
    PARAMS_JSON,
    PARAMS_NPZ,
    VERSION,
    WEIGHTS,
    check_label,
)
from pinn_archive.manifest import decode_dill

__all__ = ["foreign_backend", "names_in"]

# Everything that the directory of a damaged or forged ZIP file makes `zipfile` raise (ValueError: names that
# are no text; NotImplementedError: other versions), and its entries (RuntimeError: a password is needed).
_UNREADABLE = (
    *(zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, struct.error),
    *(RuntimeError, zlib.error),
)
_OURS = frozenset({MANIFEST_JSON, PARAMS_JSON, PARAMS_NPZ, WEIGHTS})
_OF_PYTORCH = "model.pth"
_OF_TENSORFLOW = frozenset({"model.keras", "saved_model.pb"})
_MAX_DILL_BYTES = 1 << 16


def names_in(path: str | os.PathLike[str]) -> frozenset[str]:
    """Names of the entries of a ZIP file, or of the files in a folder, two levels deep, joined by ``/``.

    Empty where `path` is neither, or too damaged to tell. Nothing but the directory is read; a name may be
    anything.
    """
    path = Path(path)
    if path.is_dir():
        return frozenset(
            item.relative_to(path).as_posix() for depth in ("*", "*/*") for item in path.glob(depth)
        )
    if not path.is_file():  # opening a pipe would wait for its other end
        return frozenset()
    try:
        with zipfile.ZipFile(path) as file:
            return frozenset(file.namelist())
    except _UNREADABLE:
        return frozenset()


def foreign_backend(path: str | os.PathLike[str]) -> str | None:
    """The backend of the public implementation that wrote the archive at `path`, a file or a folder.

    None where nothing tells that it is one, and of an archive of this format, however damaged. What its
    ``manifest.dill`` names counts first, then the file of its network. A manifest that names none is of
    ``'tensorflow'`` (API specification, section 4.6). Nothing is unpickled but text in lists and dicts.
    """
    path = Path(path)
    if not path.is_dir() and not path.is_file():
        return None
    files = {PurePosixPath(name).name for name in names_in(path)}
    facts = _manifest_in(path)
    if files & _OURS or (facts is not None and facts.get("version") == VERSION):
        return None
    named = None if facts is None else facts.get("backend")
    if isinstance(named, str):
        try:
            return check_label(named, "backend")
        except ArchiveError:
            return None
    if _OF_PYTORCH in files:
        return "pytorch"
    return "tensorflow" if facts is not None or files & _OF_TENSORFLOW else None


def _manifest_in(path: Path) -> dict[str, Any] | None:
    """What ``manifest.dill`` says, if it is a dict with a list of models and safe to read."""
    try:
        facts = decode_dill(_dill_bytes(path))
    except (ArchiveError, *_UNREADABLE):
        return None
    return facts if isinstance(facts, dict) and isinstance(facts.get("models"), list) else None


def _dill_bytes(path: Path) -> bytes:
    """The bytes of ``manifest.dill``, up to one more than a manifest may have."""
    if path.is_dir():
        entry = path / MANIFEST_DILL
        if entry.is_symlink() or not entry.is_file():
            return b""
        with open(entry, "rb") as plain:
            data = plain.read(_MAX_DILL_BYTES + 1)
    else:
        with zipfile.ZipFile(path) as file:
            info = next((i for i in file.infolist() if i.filename == MANIFEST_DILL), None)
            # Other compressions take as much memory as the entry asks for.
            if info is None or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                return b""
            with file.open(info) as packed:
                data = packed.read(_MAX_DILL_BYTES + 1)
    return data if len(data) <= _MAX_DILL_BYTES else b""

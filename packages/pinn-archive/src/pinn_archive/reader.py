"""Reads an archive, and refuses everything that the written format does not allow.

Nothing is unpacked to disk and nothing in an archive can run. Every byte is held against a digest or against
the one value that it may have, so damage anywhere is an `ArchiveError`, not a different network. Digests
protect from damage, not from a malicious author: `ModelPayload.native` is handed over unread.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import attrs

from pinn_archive.contents import Archive, ModelPayload
from pinn_archive.encoding import decode_arrays, decode_json, decode_weights
from pinn_archive.errors import ArchiveError, ArchiveNotFoundError, ForeignArchiveError
from pinn_archive.foreign import foreign_backend
from pinn_archive.frame import Entry, read_entry, read_frame
from pinn_archive.layout import (
    FILE_NAME,
    MANIFEST_DILL,
    MANIFEST_JSON,
    MAX_JSON_BYTES,
    MAX_TOTAL_BYTES,
    PARAMS_JSON,
    PARAMS_NPZ,
    native_entry,
    weights_entry,
)
from pinn_archive.manifest import Digest, Manifest, check_dill, decode_manifest

__all__ = ["find_archive", "read_archive", "read_manifest"]


def read_archive(path: str | os.PathLike[str]) -> Archive:
    """Everything in the archive at `path`, checked.

    `path` is the file, a folder that holds ``wts.h5.zip``, or a folder that an archive was unpacked to.
    Arrays and weights own their memory and may be written. Of an unpacked folder only the entries that the
    manifest lists are read.

    Raises
    ------
    ArchiveNotFoundError
        There is none.
    ArchiveError
        It is damaged, incomplete, encrypted, newer than this reader, or not of this format.
    ForeignArchiveError (an ArchiveError)
        The public implementation wrote it.
    """
    with _open(find_archive(path)) as store:
        manifest = _manifest(store)

        def entry(name: str) -> bytes:
            data = store.read(name, manifest.entries[name].size)
            if Digest.of(data) != manifest.entries[name]:
                raise ArchiveError(
                    f"entry {name!r} of {store.where} is damaged (its SHA-256 differs): "
                    "copy the archive again."
                )
            return data

        def describe(name: str) -> str:
            return f"{name} of {store.where}"

        check_dill(entry(MANIFEST_DILL), manifest)
        params = decode_json(entry(PARAMS_JSON), describe(PARAMS_JSON))
        if not isinstance(params, dict):
            raise ArchiveError(f"{describe(PARAMS_JSON)} is a {type(params).__name__}: it must be an object.")
        models = {}
        for model in manifest.models:
            weights = decode_weights(entry(weights_entry(model)), describe(weights_entry(model)))
            name = manifest.native.get(model)
            models[model] = ModelPayload(
                weights, name, None if name is None else entry(native_entry(model, name))
            )
        arrays = decode_arrays(entry(PARAMS_NPZ), describe(PARAMS_NPZ))
    return Archive(manifest.backend, manifest.version, models, params, arrays, manifest.provenance)


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """The table of contents of the archive at `path` without its weights: cheap, to compare the backend
    first.

    Raises what `read_archive` raises, for the parts that it reads (the manifest and, of a file, the ZIP
    frame).
    """
    with _open(find_archive(path)) as store:
        return _manifest(store)


def find_archive(path: str | os.PathLike[str]) -> Path:
    """The archive file or the unpacked folder that `path` leads to.

    A folder with both means the file in it. ``.../wts.h5``, the historical base name, means
    ``.../wts.h5.zip``.

    Raises
    ------
    ArchiveNotFoundError
        Neither is there.
    """
    path = Path(path)
    if path.is_dir():
        if (path / FILE_NAME).exists():
            return path / FILE_NAME
        if (path / MANIFEST_JSON).exists() or (path / MANIFEST_DILL).exists():
            return path
        raise ArchiveNotFoundError(
            f"no model archive in {path}: the folder should hold {FILE_NAME}; train or save a model."
        )
    if path.exists():
        return path
    if path.name == FILE_NAME.removesuffix(".zip") and path.with_name(FILE_NAME).exists():
        return path.with_name(FILE_NAME)
    raise ArchiveNotFoundError(f"no model archive at {path}: give {FILE_NAME}, or the folder that holds it.")


class _Store(Protocol):
    @property
    def where(self) -> str: ...

    def names(self) -> list[str] | None: ...

    def read(self, name: str, limit: int) -> bytes: ...


@attrs.frozen
class _ZipStore:
    """The entries of an archive file."""

    where: str
    file: BinaryIO
    entries: dict[str, Entry]

    def names(self) -> list[str]:
        return list(self.entries)

    def read(self, name: str, limit: int) -> bytes:
        entry = self.entries.get(name)
        if entry is None:
            raise _missing(name, self.where)
        if entry.size > limit:
            raise ArchiveError(
                f"entry {name!r} of {self.where} has {entry.size} bytes: {limit} are declared or allowed."
            )
        return read_entry(self.file, entry, self.where)


@attrs.frozen
class _FolderStore:
    """The entries of an unpacked archive; files that its manifest does not list are left alone."""

    where: str
    folder: Path

    def names(self) -> None:
        return None

    def read(self, name: str, limit: int) -> bytes:
        path = self.folder / name
        # The folder of a model may be no link either: it would lead out of the archive.
        if path.is_symlink() or (path.parent != self.folder and path.parent.is_symlink()):
            raise ArchiveError(
                f"entry {name!r} of {self.where} is a symbolic link: an archive holds plain files only."
            )
        if not path.is_file():
            raise _missing(name, self.where)
        with open(path, "rb") as file:
            data = file.read(min(limit, os.fstat(file.fileno()).st_size) + 1)
        if len(data) > limit:
            raise ArchiveError(
                f"entry {name!r} of {self.where} has more than {limit} bytes, which are declared or allowed."
            )
        return data


@contextmanager
def _open(path: Path) -> Iterator[_Store]:
    """The entries of an archive; whatever is wrong with one of another implementation, it is told as such."""
    try:
        with _store(path) as store:
            yield store
    except ArchiveError as error:
        backend = foreign_backend(path)
        if backend is None:
            raise
        raise ForeignArchiveError(str(path), backend) from error


@contextmanager
def _store(path: Path) -> Iterator[_Store]:
    if path.is_dir():
        yield _FolderStore(str(path), path)
        return
    # Before opening: opening a pipe waits for its other end.
    if not stat.S_ISREG(path.stat().st_mode):
        raise ArchiveError(f"{path} is no regular file: give {FILE_NAME}, or the folder that holds it.")
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_TOTAL_BYTES:
            raise ArchiveError(f"{path} has {size} bytes: an archive has less than 4 GiB.")
        yield _ZipStore(str(path), file, read_frame(file, size, str(path)))


def _manifest(store: _Store) -> Manifest:
    manifest = decode_manifest(store.read(MANIFEST_JSON, MAX_JSON_BYTES), store.where)
    names = store.names()
    if names is not None and sorted([*manifest.entries, MANIFEST_JSON]) != names:
        odd = sorted({*manifest.entries, MANIFEST_JSON}.symmetric_difference(names))
        raise ArchiveError(
            f"{store.where} and its manifest list different entries; look at {', '.join(odd)}."
        )
    return manifest


def _missing(name: str, where: str) -> ArchiveError:
    if name == MANIFEST_JSON:
        return ArchiveError(
            f"{where} has no {MANIFEST_JSON}: copy the whole archive again, or train the model again."
        )
    return ArchiveError(
        f"{where} has no entry {name!r}, which its manifest lists: copy the whole archive again."
    )

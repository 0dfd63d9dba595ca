"""Writes an archive: all of it, or nothing.

The bytes go to a temporary file in the same folder, reach the disk (fsync), and only then take the name of
the archive (rename), which reaches the disk too (fsync of the folder). Whatever interrupts this, the name
leads to the old archive or to the new one. The temporary file is removed on failure; only a process that is
killed outright can leave one behind, named ``.<archive>.<random>.tmp``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pinn_config.whole_file import whole_file

from pinn_archive.contents import ModelPayload
from pinn_archive.encoding import encode_arrays, encode_json, encode_weights
from pinn_archive.errors import ArchiveError
from pinn_archive.frame import write_frame
from pinn_archive.layout import (
    MANIFEST_DILL,
    MANIFEST_JSON,
    PARAMS_JSON,
    PARAMS_NPZ,
    archive_path,
    check_label,
    native_entry,
    weights_entry,
)
from pinn_archive.manifest import Digest, Manifest, encode_dill, encode_manifest

__all__ = ["write_archive"]


def write_archive(
    path: str | os.PathLike[str],
    *,
    models: Mapping[str, ModelPayload],
    params: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    backend: str,
    provenance: Mapping[str, Any],
) -> Path:
    """The path of the archive that was written: `archive_path(path)`; its folder is made where it is missing.

    Laws: ``read_archive(write_archive(p, **x))`` holds x; the same x gives the same bytes, whatever the order
    of the mappings; a reader sees the old archive or the new one, never a mixture.

    Parameters
    ----------
    path : a folder (the archive becomes ``wts.h5.zip`` in it), or a file name that ends in ``.zip``.
    models : name to `ModelPayload`; at least one.
    params, provenance : JSON values: text, finite numbers, booleans, None, lists and dicts of them.
    arrays : real or complex numeric arrays.
    backend : who wrote it, for example ``'pytorch'``.

    Raises
    ------
    ArchiveError
        Something that the format does not hold; nothing was written.
    OSError
        The file system refused; the old archive, if any, is as it was (unless only the last fsync, of the
        folder, failed: then the new one is complete under its name).
    """
    entries = _encode(models, params, arrays, backend, provenance)
    target = archive_path(path)
    if target.parent.exists() and not target.parent.is_dir():
        raise ArchiveError(f"{target.parent} is a file: give a folder, or a file name that ends in '.zip'.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as temporary, open(temporary, "wb") as file:
        write_frame(entries, file.write)
    return target


def _encode(
    models: Mapping[str, ModelPayload],
    params: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    backend: str,
    provenance: Mapping[str, Any],
) -> dict[str, bytes]:
    names = tuple(sorted(check_label(name, "model name") for name in models))
    check_label(backend, "backend")
    entries = {
        MANIFEST_DILL: encode_dill(backend, names),
        PARAMS_JSON: encode_json(_mapping(params, "params"), "params"),
        PARAMS_NPZ: encode_arrays(_mapping(arrays, "arrays"), "arrays"),
    }
    native: dict[str, str] = {}
    for name in names:
        payload = models[name]
        entries[weights_entry(name)] = encode_weights(payload.weights, f"models[{name!r}].weights")
        if (payload.native_name is None) != (payload.native is None):
            raise ArchiveError(
                f"models[{name!r}] has only one of native_name and native: give both or neither."
            )
        if payload.native_name is not None and payload.native is not None:
            native[name] = check_label(payload.native_name, "native file name")
            entry = native_entry(name, payload.native_name)
            if entry in entries:
                raise ArchiveError(
                    f"models[{name!r}].native_name is {payload.native_name!r}: that is the canonical weights."
                )
            entries[entry] = bytes(payload.native)
    digests = {entry: Digest.of(data) for entry, data in entries.items()}
    manifest = Manifest(backend, names, native, _mapping(provenance, "provenance"), digests).check()
    entries[MANIFEST_JSON] = encode_manifest(manifest)
    return entries


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ArchiveError(f"{where} is a {type(value).__name__}: give a dict with text keys.")
    return value

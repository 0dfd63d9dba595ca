"""The table of contents, written twice: `manifest.dill` for old clients, `manifest.json` for all else.

`manifest.dill` is what the specification demands (section 4.6): ``{'models': [...], 'version': 'X.Y',
'backend': ...}``. `manifest.json` states the same facts, the size and SHA-256 of every other entry, and a
SHA-256 of itself. The two must agree. The dill file is a pickle, which is a program; it is only read after
every one of its opcodes was found in a short list that cannot name a class or a function, by an unpickler
that refuses them once more.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import pickletools
import re
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import attrs
import dill

from pinn_archive.encoding import decode_json, encode_json
from pinn_archive.errors import ArchiveError
from pinn_archive.layout import (
    FORMAT_NAME,
    MANIFEST_DILL,
    MANIFEST_JSON,
    MAX_TOTAL_BYTES,
    PARAMS_JSON,
    PARAMS_NPZ,
    VERSION,
    WEIGHTS,
    check_label,
    check_names,
    native_entry,
    weights_entry,
)

__all__ = [
    "Digest",
    "Manifest",
    "check_dill",
    "decode_dill",
    "decode_manifest",
    "encode_dill",
    "encode_manifest",
]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})")
_KEYS = frozenset({"backend", "entries", "format", "models", "native", "provenance", "sha256", "version"})
# Enough for a dict of text and lists of text in protocols 2 to 5. No GLOBAL, REDUCE, BUILD, INST, OBJ,
# NEWOBJ, EXT, PERSID, BUFFER; no opcode that allocates by a number it reads (LONG_BINPUT, BINBYTES8,
# BYTEARRAY8).
_OPCODES = frozenset(
    [
        "PROTO",
        "FRAME",
        "MARK",
        "STOP",
        "EMPTY_DICT",
        "EMPTY_LIST",
        "APPEND",
        "APPENDS",
        "SETITEM",
        "SETITEMS",
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "MEMOIZE",
        "BINPUT",
        "BINGET",
    ]
)


@attrs.frozen
class Digest:
    """Size in bytes and lower-case hexadecimal SHA-256 of one entry."""

    size: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """The digest of `data`."""
        return cls(len(data), hashlib.sha256(data).hexdigest())


@attrs.frozen
class Manifest:
    """The table of contents.

    models : their names, ascending.
    native : model name to the file name of its native payload, for models that have one.
    entries : entry name to digest, of every entry but `manifest.json` itself.
    """

    backend: str
    models: tuple[str, ...]
    native: Mapping[str, str]
    provenance: Mapping[str, Any]
    entries: Mapping[str, Digest]
    version: str = VERSION

    def expected_entries(self) -> list[str]:
        """The names that `entries` must have, for these models (FORMAT.md, section 1)."""
        names = [MANIFEST_DILL, PARAMS_JSON, PARAMS_NPZ, *map(weights_entry, self.models)]
        names += [native_entry(model, name) for model, name in self.native.items()]
        return check_names(names)

    def check(self) -> Manifest:
        """This manifest, if its names are allowed and belong together.

        Raises
        ------
        ArchiveError
            No model, a name that an archive cannot hold, a payload of an unknown model, entries missing or
            too many.
        """
        check_label(self.backend, "backend")
        if not self.models:
            raise ArchiveError("an archive without models was given: it holds at least one.")
        for model in self.models:
            check_label(model, "model name")
        if list(self.models) != sorted(set(self.models)):
            raise ArchiveError(f"the models {self.models} are not in ascending order, each once.")
        for model, name in self.native.items():
            check_label(name, "native file name")
            if model not in self.models or name == WEIGHTS:
                raise ArchiveError(
                    f"native payload {name!r} of {model!r}: give another name, to one of {self.models}."
                )
        check_names([*self.entries, MANIFEST_JSON])
        if sorted(self.entries) != self.expected_entries():
            odd = sorted(set(self.entries) ^ set(self.expected_entries()))
            raise ArchiveError(
                f"the manifest lists other entries than its models have; look at {', '.join(odd)}."
            )
        if sum(digest.size for digest in self.entries.values()) > MAX_TOTAL_BYTES:
            raise ArchiveError("the manifest declares 4 GiB or more: an archive holds less.")
        return self


def encode_dill(backend: str, models: tuple[str, ...]) -> bytes:
    """The bytes of `manifest.dill`."""
    # Interned, because a pickle writes a text that occurs twice as one object or as two, depending on
    # identity.
    names = [sys.intern(model) for model in models]
    return dill.dumps(
        {"models": names, "version": sys.intern(VERSION), "backend": sys.intern(backend)}, protocol=4
    )


def check_dill(data: bytes, manifest: Manifest) -> None:
    """Returns if `manifest.dill` says what `manifest` says; runs nothing.

    Raises
    ------
    ArchiveError
        The pickle holds anything but text in lists and dicts, or disagrees with `manifest.json`.
    """
    facts = {"models": list(manifest.models), "version": manifest.version, "backend": manifest.backend}
    found = decode_dill(data)
    if not _same(found, facts):
        raise ArchiveError(
            f"{MANIFEST_DILL} and {MANIFEST_JSON} disagree about models, version or backend: "
            "the archive was changed; get it again from where it was written."
        )


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of `manifest.json`."""
    facts = {
        "format": FORMAT_NAME,
        "version": manifest.version,
        "backend": manifest.backend,
        "models": list(manifest.models),
        "native": dict(manifest.native),
        "provenance": manifest.provenance,
        "entries": {name: attrs.asdict(digest) for name, digest in manifest.entries.items()},
    }
    return encode_json({**facts, "sha256": _self_digest(facts)}, MANIFEST_JSON)


def decode_manifest(data: bytes, where: str) -> Manifest:
    """The manifest in the bytes of `manifest.json`, checked.

    Raises
    ------
    ArchiveError
        Another format or version than this reader knows, a wrong type, a wrong digest of itself, names not
        allowed.
    """
    facts = decode_json(data, f"{MANIFEST_JSON} of {where}")
    if not isinstance(facts, dict) or facts.get("format") != FORMAT_NAME:
        raise ArchiveError(
            f"{MANIFEST_JSON} of {where} does not say 'format': {FORMAT_NAME!r}: it is no such archive."
        )
    _check_version(facts.get("version"), where)
    if set(facts) != _KEYS:
        odd = sorted(set(facts) ^ _KEYS)
        raise ArchiveError(
            f"{MANIFEST_JSON} of {where} has other keys than version {VERSION}: look at "
            f"{', '.join(ascii(key)[:80] for key in odd[:10])}."
        )
    if facts.pop("sha256") != _self_digest(facts):
        raise ArchiveError(
            f"{MANIFEST_JSON} of {where} was changed after it was written: get the archive again."
        )
    if not _well_typed(facts):
        raise ArchiveError(
            f"{MANIFEST_JSON} of {where} holds values of other types than FORMAT.md, section 3, says."
        )
    return Manifest(
        backend=facts["backend"],
        models=tuple(facts["models"]),
        native=facts["native"],
        provenance=facts["provenance"],
        entries={name: Digest(**digest) for name, digest in facts["entries"].items()},
        version=facts["version"],
    ).check()


def _self_digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(encode_json(facts, MANIFEST_JSON)).hexdigest()


def _check_version(version: Any, where: str) -> None:
    match = _VERSION.fullmatch(version) if isinstance(version, str) else None
    if match is None:
        raise ArchiveError(
            f"{where} has format version {version!r}: 'major.minor' was expected, such as {VERSION!r}."
        )
    found = (int(match[1]), int(match[2]))
    known = tuple(map(int, VERSION.split(".")))
    if found > known:
        raise ArchiveError(
            f"{where} has format version {version}, newer than {VERSION}, which this reader knows: "
            "upgrade pinn-archive."
        )
    if found < known:
        raise ArchiveError(
            f"{where} has format version {version}: this reader knows {VERSION}; train or export it again."
        )


def _well_typed(facts: Mapping[str, Any]) -> bool:
    return (
        isinstance(facts["backend"], str)
        and isinstance(facts["models"], list)
        and all(isinstance(model, str) for model in facts["models"])
        and isinstance(facts["native"], dict)
        and all(isinstance(name, str) for name in facts["native"].values())
        and isinstance(facts["provenance"], dict)
        and isinstance(facts["entries"], dict)
        and all(_is_digest(digest) for digest in facts["entries"].values())
    )


def _is_digest(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"size", "sha256"}
        and type(value["size"]) is int
        and 0 <= value["size"] <= MAX_TOTAL_BYTES
        and isinstance(value["sha256"], str)
        and _SHA256.fullmatch(value["sha256"]) is not None
    )


def _same(found: Any, facts: Mapping[str, Any]) -> bool:
    """Compared type by type: a hostile pickle can nest its lists so that plain ``==`` takes exponential
    time."""
    if type(found) is not dict or set(found) != set(facts):
        return False
    models = found["models"]
    return (
        type(models) is list
        and all(type(model) is str for model in models)
        and models == facts["models"]
        and all(type(found[key]) is str and found[key] == facts[key] for key in ("version", "backend"))
    )


class _TextUnpickler(pickle.Unpickler):
    """Builds text, lists and dicts; refuses every global, persistent object and buffer."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("it names a persistent object")


def decode_dill(data: bytes) -> Any:
    """The text in lists and dicts that the pickle `data` holds; runs nothing.

    Raises
    ------
    ArchiveError
        It holds anything else.
    """
    try:
        for opcode, _, position in pickletools.genops(data):
            if opcode.name not in _OPCODES:
                raise pickle.UnpicklingError(f"opcode {opcode.name} at byte {position}")
        source = io.BytesIO(data)
        value = _TextUnpickler(source).load()
        if source.read(1):
            raise pickle.UnpicklingError("bytes follow its end")
        return value
    except Exception as error:
        # A malformed pickle can raise almost any exception (documented for `pickle.UnpicklingError`); none
        # may pass for a readable manifest, so all of them mean the same.
        reason = ascii(str(error))[1:201].rstrip("'")  # it may quote the pickle
        raise ArchiveError(
            f"{MANIFEST_DILL} holds more than text in lists and dicts ({reason}): nothing of it was run; "
            "do not use this archive."
        ) from error

"""Hostile model archives: forged with every digest right, packed by other tools, or unpacked into a folder.

The canonical JSON, the frame and the digests are computed here, not by the code under test.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np

from .byte_mutations import interesting
from .npz_mutations import hostile_npy
from .payloads import evil_object, evil_pickle
from .seeds import archive_entries, npy

__all__ = ["ENTRY_MUTATIONS", "PACKINGS", "ArchiveDraft", "Link", "archive_draft", "canonical"]

Rng = np.random.Generator


def canonical(value: Any) -> bytes:
    """The JSON text of the format, section 3."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True, indent=1).encode() + b"\n"


@attrs.frozen
class Link:
    """A symbolic link."""

    target: str


@attrs.define
class ArchiveDraft:
    """Entries but the manifest, and facts of the manifest that are to be other than the entries say."""

    entries: dict[str, bytes]
    facts: dict[str, Any]
    digests: dict[str, Any] = attrs.field(factory=dict)
    manifest: bytes | None = None

    def contents(self) -> dict[str, bytes]:
        """All entries, the manifest with the digests that belong to them."""
        if self.manifest is None:
            facts = dict(self.facts)
            facts.setdefault(
                "entries",
                {
                    name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
                    for name, data in self.entries.items()
                }
                | self.digests,
            )
            facts.pop("sha256", None)
            facts["sha256"] = hashlib.sha256(canonical(facts)).hexdigest()
            return {**self.entries, "manifest.json": canonical(facts)}
        return {**self.entries, "manifest.json": self.manifest}


def archive_draft(rng: Rng) -> ArchiveDraft:
    """A valid archive."""
    seeds = archive_entries()
    entries = dict(seeds[rng.integers(len(seeds))])
    facts = json.loads(entries.pop("manifest.json"))
    del facts["sha256"], facts["entries"]
    return ArchiveDraft(entries, facts)


def frame(contents: list[tuple[str, bytes]], mode: int = stat.S_IFREG | 0o644) -> bytes:
    """The strict frame of the format around entries of any name."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(buffer, "w") as file:
            for name, data in contents:
                info = zipfile.ZipInfo(name)
                info.create_system, info.external_attr = 3, mode << 16
                file.writestr(info, data)
    return buffer.getvalue()


# --- what is inside, with every digest right


def _dilled(rng: Rng, facts: Any) -> bytes:
    return pickle.dumps(facts, protocol=int(rng.integers(2, 6)))


def code_in_manifest_dill(rng: Rng, draft: ArchiveDraft) -> None:
    draft.entries["manifest.dill"] = evil_pickle(rng)


def odd_manifest_dill(rng: Rng, draft: ArchiveDraft) -> None:
    """Pickles that allocate, nest, refer to themselves or go on after their end."""
    choices: tuple[Callable[[], bytes], ...] = (
        lambda: b"",
        lambda: b"\x80\x04]\x94(h\x00h\x00e.",
        lambda: b"\x80\x04\x95" + struct.pack("<Q", interesting(rng, 63)) + b"}.",
        lambda: b"\x80\x04}r\xff\xff\xff\x7f.",
        lambda: b"\x80\x05\x96" + struct.pack("<Q", interesting(rng, 64)) + b".",
        lambda: b"\x80\x04X\xff\xff\xff\xffabc.",
        lambda: b"cos\nsystem\n(S'touch ../outside/owned'\ntR.",
        lambda: b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        lambda: b"\x80\x04" + b"]" * int(rng.integers(1, 50_000)) + b".",
        lambda: b"\x80\x04" + b"](" * 5000 + b"e" * 5000 + b".",
        lambda: _dilled(rng, {"models": ["a\nb"], "version": "\x1b", "backend": 3}),
        lambda: _dilled(
            rng, {"models": ["autoencoder", "diffraction_to_obj"], "version": "3.0", "backend": "x"}
        ),
        lambda: b"\x80\x04]\x94" + b"]\x94(h\x00h\x00e\x94" * int(rng.integers(1, 200)) + b".",
        lambda: rng.bytes(int(rng.integers(1, 80))),
        lambda: draft.entries.get("manifest.dill", b"") + b".",
    )
    draft.entries["manifest.dill"] = choices[rng.integers(len(choices))]()


def _hostile_json(rng: Rng) -> Any:
    values: tuple[Any, ...] = (
        None,
        [],
        "text",
        3,
        2**70,
        -1,
        1.5,
        True,
        {},
        [["a", "b"]],
        {"a\nb": "\x1b[2J"},
        "\ud800",
        {"model": 3},
        {"model": "abc"},
        {"model": {"N": "sixty-four"}},
        {"model": {"N": [1]}, "nepochs": {}},
        {"model": {"__class__": "os.system"}},
        {"model": {"N": 64}, "unknown\nfield": 1},
        ["../../outside/owned"],
    )
    value = values[rng.integers(len(values))]
    for _ in range(int(rng.choice([0, 3, 70, 300], p=[0.8, 0.1, 0.07, 0.03]))):
        value = [value]
    return value


def odd_params(rng: Rng, draft: ArchiveDraft) -> None:
    try:
        params = json.loads(draft.entries["params.json"])
    except (KeyError, ValueError, RecursionError):  # another mutation was here
        return
    if not isinstance(params, dict):
        return
    which = rng.integers(4)
    if which == 0:
        params = _hostile_json(rng)
    elif which == 1:
        params[("config", "execution", "log_intensity_scale")[rng.integers(3)]] = _hostile_json(rng)
    elif isinstance(params.get("config"), dict):
        config = params["config"]
        inner = config.get("model")
        where = inner if which == 2 and isinstance(inner, dict) else config
        name = sorted(where)[rng.integers(len(where))] if where else "model"
        where[name] = _hostile_json(rng)
    draft.entries["params.json"] = canonical(params)


def odd_json_text(rng: Rng, draft: ArchiveDraft) -> None:
    texts = (
        b"",
        b'{\n "a": NaN\n}\n',
        b'{\n "a": 1e999\n}\n',
        b'{\n "a": 1,\n "a": 1\n}\n',
        b"[" * 100_000,
        b"[\n" * 3000 + b"]" * 3000,
        b'{\n "a": ' + b"9" * 5000 + b"\n}\n",
        b"\xff\xfe{}",
        '{\n "a": "é"\n}\n'.encode(),
        rng.bytes(50),
    )
    text = texts[rng.integers(len(texts))]
    if rng.random() < 0.5:
        draft.manifest = text
    else:
        draft.entries["params.json"] = text


def hostile_arrays(rng: Rng, draft: ArchiveDraft) -> None:
    """``params.npz`` with arrays that lie, are pickled, or have names that lead elsewhere."""
    value = np.empty((1,), object)
    value.fill(evil_object(rng))
    data = npy(value, allow_pickle=True) if rng.random() < 0.3 else hostile_npy(rng)
    names = ("probe.npy", "../probe.npy", "con.npy", "a\nb.npy", "probe", "a/b.npy")
    name = names[0] if rng.random() < 0.7 else names[rng.integers(len(names))]
    draft.entries["params.npz"] = frame([(name, data)])


def hostile_weights(rng: Rng, draft: ArchiveDraft) -> None:
    tensors: tuple[Any, ...] = (
        {"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 8]}},
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 2**50]}},
        {"w": {"dtype": "F32", "shape": [2**32, 2**32], "data_offsets": [0, 8]}},
        {"w": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}},
        {"w\nv": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}},
        {"\x1b[2J": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
        {"w": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]}},
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}},
        {"../../outside/owned": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}},
        {"__metadata__": {"a": "b\nc"}, "w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}},
        {"w": {"dtype": "I8", "shape": [0] * 70 + [1], "data_offsets": [0, 0]}},
        {"w": {"dtype": "I8", "shape": [8] + [1] * 70, "data_offsets": [0, 8]}},
        [],
        "text",
    )
    text = json.dumps(tensors[rng.integers(len(tensors))]).encode()
    length = interesting(rng, 64) if rng.random() < 0.2 else len(text)
    name = f"{('autoencoder', 'diffraction_to_obj')[rng.integers(2)]}/weights.safetensors"
    draft.entries[name] = struct.pack("<Q", length) + text + bytes(8)


def evil_native(rng: Rng, draft: ArchiveDraft) -> None:
    """A native payload that runs code in the hands of a careless reader; ours hands it over unread."""
    for name in draft.entries:
        if name.endswith((".ckpt", ".keras")):
            draft.entries[name] = evil_pickle(rng)


def odd_facts(rng: Rng, draft: ArchiveDraft) -> None:
    key = ("backend", "models", "native", "provenance", "format", "version", "entries", "a\nb")[
        rng.integers(8)
    ]
    odd: tuple[Any, ...] = (
        ["../x"],
        ["a", "a"],
        ["autoencoder"],
        {"diffraction_to_obj": "weights.safetensors"},
        {"other": "model.ckpt"},
        {"diffraction_to_obj": "../../outside/owned"},
        "../x",
        "9.0",
        "1.0",
        "3.0",
        "jax",
        {"params.json": {"sha256": "0" * 64, "size": 2**31}},
    )
    draft.facts[key] = _hostile_json(rng) if rng.random() < 0.5 else odd[rng.integers(len(odd))]


def odd_digest(rng: Rng, draft: ArchiveDraft) -> None:
    name = sorted(draft.entries)[rng.integers(len(draft.entries))]
    size = (0, -1, 2**31, 2**40, True, 2.0, "3", None)[rng.integers(8)]
    draft.digests[name] = {"sha256": ("0" * 64, "x", 3)[rng.integers(3)], "size": size}


def entry_missing(rng: Rng, draft: ArchiveDraft) -> None:
    name = sorted(draft.entries)[rng.integers(len(draft.entries))]
    draft.digests[name] = {"sha256": hashlib.sha256(draft.entries[name]).hexdigest(), "size": 1}
    del draft.entries[name]
    if not draft.entries:
        draft.entries["params.json"] = b"{}\n"


_ESCAPES = (
    "../../outside/sentinel",
    "/tmp/escaped",
    "..\\escaped",
    "C:/escaped",
    "a/../escaped",
    "a//b",
    "con",
    "PARAMS.JSON",
    "manifest.dill/x",
    "a\nb",
    "\x1b[2J",
    "x" * 300,
    "setup.py",
)


def entry_escapes(rng: Rng, draft: ArchiveDraft) -> None:
    draft.entries[_ESCAPES[rng.integers(len(_ESCAPES))]] = evil_pickle(rng)


ENTRY_MUTATIONS: Mapping[str, Callable[[Rng, ArchiveDraft], None]] = {
    function.__name__: function
    for function in (
        code_in_manifest_dill,
        odd_manifest_dill,
        odd_params,
        odd_json_text,
        hostile_arrays,
        hostile_weights,
        evil_native,
        odd_facts,
        odd_digest,
        entry_missing,
        entry_escapes,
    )
}

# --- how it is packed


def strict(rng: Rng, draft: ArchiveDraft) -> bytes:
    """As the writer packs."""
    return frame(sorted(draft.contents().items()))


def unsorted(rng: Rng, draft: ArchiveDraft) -> bytes:
    return frame(list(draft.contents().items()))


def symbolic_links(rng: Rng, draft: ArchiveDraft) -> bytes:
    return frame(sorted(draft.contents().items()), stat.S_IFLNK | 0o777)


def twice(rng: Rng, draft: ArchiveDraft) -> bytes:
    contents = sorted(draft.contents().items())
    return frame(sorted([*contents, contents[rng.integers(len(contents))]]))


def by_another_tool(rng: Rng, draft: ArchiveDraft) -> bytes:
    """Compressed, with dates, comments and bytes in front."""
    buffer = io.BytesIO()
    method = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2)[rng.integers(3)]
    with zipfile.ZipFile(buffer, "w", method) as file:
        file.comment = rng.bytes(int(rng.integers(40)))
        for name, data in draft.contents().items():
            file.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)
    return rng.bytes(int(rng.integers(3)) * 20) + buffer.getvalue()


def deflated_bomb(rng: Rng, draft: ArchiveDraft) -> bytes:
    """An entry of some kB that would unpack to many MB."""
    buffer, bomb = io.BytesIO(), "diffraction_to_obj/model.keras"
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in draft.contents().items():
            if name != bomb:
                file.writestr(name, data)
        file.writestr(bomb, bytes(int(rng.integers(20, 40)) * 2**20))
    return buffer.getvalue()


PACKINGS: Mapping[str, Callable[[Rng, ArchiveDraft], bytes]] = {
    function.__name__: function
    for function in (strict, unsorted, symbolic_links, twice, by_another_tool, deflated_bomb)
}


def in_a_folder(rng: Rng, draft: ArchiveDraft) -> tuple[str, dict[str, bytes | Link | None]]:
    """The name of a trick, and the files of an unpacked archive in which it is played; None: a folder."""
    files: dict[str, bytes | Link | None] = {
        name: data
        for name, data in draft.contents().items()
        if all(part not in ("", ".", "..") for part in name.split("/"))
        and not name.startswith("/")
        and "manifest.dill/" not in name
        and max(map(len, name.split("/"))) < 200
    }
    name = sorted(files)[rng.integers(len(files))]
    trick = ("as_it_is", "linked_file", "folder_for_file", "linked_folder", "damaged_file", "file_gone")[
        rng.integers(6)
    ]
    if trick == "linked_file":
        files[name] = Link(("../outside/sentinel", "/dev/zero", name)[rng.integers(3)])
    elif trick == "folder_for_file":
        files[name] = None
    elif trick == "linked_folder":
        files = {key: value for key, value in files.items() if not key.startswith("autoencoder")}
        files["autoencoder"] = Link("../outside")
    elif trick == "damaged_file":
        data = bytearray(files[name] or b"\0")
        data[rng.integers(len(data)) if data else 0 :] = rng.bytes(3)
        files[name] = bytes(data)
    elif trick == "file_gone" and len(files) > 1:
        del files[name]
    return trick, files

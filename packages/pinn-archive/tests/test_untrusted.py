"""Law: nothing in an archive runs, escapes or grows, whoever made it.

The forgers here compute every size, CRC and SHA-256 as an attacker would.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dill
import numpy as np
import pytest
from archive_contents import small_content
from hypothesis import given
from hypothesis import strategies as st
from pinn_archive import ArchiveError, frame, manifest, read_archive, read_manifest, write_archive
from pinn_archive.encoding import decode_arrays, decode_json, encode_json
from pinn_archive.frame import write_frame
from pinn_archive.manifest import Digest, check_dill, decode_manifest


def entries_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path: Path, entries: dict[str, bytes]) -> Path:
    pieces: list[bytes] = []
    write_frame(entries, pieces.append)
    path.write_bytes(b"".join(pieces))
    return path


def forge(path: Path, changes: dict[str, bytes], **facts: Any) -> Path:
    """The archive at `path` with other entries and facts, every digest recomputed."""
    entries = entries_of(path) | changes
    found = json.loads(entries.pop("manifest.json"))
    del found["sha256"]
    found["entries"] = {
        name: {"size": len(data), "sha256": Digest.of(data).sha256} for name, data in entries.items()
    }
    found |= facts
    found["sha256"] = Digest.of(encode_json(found, "")).sha256
    return pack(path, entries | {"manifest.json": encode_json(found, "")})


class Evil:
    """Unpickling this makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_forge_alone_changes_nothing(archive_file: Path) -> None:
    good = archive_file.read_bytes()
    assert forge(archive_file, {}).read_bytes() == good


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("dumps", [pickle.dumps, dill.dumps])
def test_a_pickle_in_the_manifest_runs_nothing(
    archive_file: Path, tmp_path: Path, dumps: Callable, protocol: int
) -> None:
    target = tmp_path / "owned"
    facts = {"models": ["autoencoder", "diffraction_to_obj"], "version": "3.0", "backend": Evil(target)}
    data = dumps(facts, protocol=protocol)
    forge(archive_file, {"manifest.dill": data})
    with pytest.raises(ArchiveError, match="nothing of it was run"):
        read_archive(archive_file)
    assert not target.exists()
    dill.loads(data)  # noqa: S301 - it was pickled here
    assert target.exists(), "the pickle is harmless: the test proves nothing"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"\x80\x04]\x94(h\x00h\x00e.",  # a list that holds itself
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f}.",  # a frame of 2**63 bytes
        b"\x80\x04}r\xff\xff\xff\x7f.",  # LONG_BINPUT would allocate a memo of 2**31 places
        b"\x80\x05\x96\xff\xff\xff\xff\xff\x00\x00\x00.",  # BYTEARRAY8 of 2**40 bytes
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\x00\x00\x00.",  # BINUNICODE8 of 2**40 bytes
        b"\x80\x04X\xff\xff\xff\xffabc.",  # BINUNICODE of 4 GiB
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x04Pname\n.",
        b"\x80\x02\x82\x01.",
    ],
)
def test_a_hostile_pickle_is_refused_with_little_memory(archive_file: Path, data: bytes) -> None:
    forge(archive_file, {"manifest.dill": data})
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError):
            read_archive(archive_file)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=60))
def test_any_bytes_for_the_dill_manifest_are_refused(archive_file: Path, data: bytes) -> None:
    with pytest.raises(ArchiveError):
        check_dill(data, read_manifest(archive_file))


def test_find_class_refuses_even_without_the_opcode_list(
    archive_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = frozenset(opcode.name for opcode in manifest.pickletools.opcodes)
    monkeypatch.setattr(manifest, "_OPCODES", every)
    with pytest.raises(ArchiveError, match=r"it names .*mkdir"):
        check_dill(pickle.dumps(Evil(tmp_path / "owned")), read_manifest(archive_file))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(Evil(Path("owned")), protocol=4),
        pickle.dumps(Evil(Path("owned")), protocol=0),
        b"\x80\x04}r\xff\xff\xff\x7f.",
        b"\x80\x05\x96\xff\x00\x00\x00\x00\x00\x00\x00" + b"a" * 255 + b".",
        b"\x80\x04\x8d\xff\x00\x00\x00\x00\x00\x00\x00" + b"a" * 255 + b".",
        b"\x80\x04Pname\n.",
        b"\x80\x02\x82\x01.",
    ],
)
def test_an_opcode_that_is_not_listed_is_found_before_anything_is_unpickled(
    archive_file: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "_TextUnpickler", None)
    with pytest.raises(ArchiveError, match=r"opcode [A-Z0-9_]+ at byte \d+"):
        check_dill(data, read_manifest(archive_file))


def test_only_the_dill_manifest_is_ever_unpickled(
    archive_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []
    real = manifest.decode_dill
    monkeypatch.setattr(manifest, "decode_dill", lambda data: (read.append(data), real(data))[1])

    def never(*arguments, **keywords):
        raise AssertionError("something was unpickled")

    for module, name in ((pickle, "load"), (pickle, "loads"), (dill, "load"), (dill, "loads")):
        monkeypatch.setattr(module, name, never)
    read_archive(archive_file)
    assert read == [entries_of(archive_file)["manifest.dill"]]


def test_an_object_array_is_not_unpickled(archive_file: Path, tmp_path: Path) -> None:
    target = tmp_path / "owned"
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.array([Evil(target)]), allow_pickle=True)
    pieces: list[bytes] = []
    write_frame({"probe.npy": buffer.getvalue()}, pieces.append)
    forge(archive_file, {"params.npz": b"".join(pieces)})
    with pytest.raises(ArchiveError, match="dtype object"):
        read_archive(archive_file)
    assert not target.exists()


def header(text: str) -> bytes:
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize(
    "shape_and_type",
    [
        ("(1000000000000,)", "<f8"),
        ("(1000000000,)", "|S0"),
        ("(-1, -2)", "<f8"),
        ("(0, 4611686018427387904, 4)", "<f8"),
        ("(1,)", "<U4000000"),
        ("(True,)", "<f8"),
        ("(2,)", ">f8"),
        ("(2,)", "<M8[s]"),
        ("(" * 200 + ")" * 200, "<f8"),
        ("(1,)" * 2000, "<f8"),
        ("__import__('os').getcwd()", "<f8"),
    ],
)
def test_a_shape_is_held_against_the_bytes_before_memory_is_taken(shape_and_type: tuple[str, str]) -> None:
    shape, dtype = shape_and_type
    array = header(f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}") + b"\0" * 16
    pieces: list[bytes] = []
    write_frame({"probe.npy": array}, pieces.append)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match="probe"):
            decode_arrays(b"".join(pieces), "params.npz")
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "tensor",
    [
        {"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 8]}},
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 2**50]}},
        {"w": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}},
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
        [],
    ],
)
def test_hostile_weights_are_refused(archive_file: Path, tensor: Any) -> None:
    text = json.dumps(tensor).encode()
    data = struct.pack("<Q", len(text)) + text + b"\0" * 8
    forge(archive_file, {"diffraction_to_obj/weights.safetensors": data})
    with pytest.raises(ArchiveError, match="safetensors"):
        read_archive(archive_file)


ESCAPES = [
    "/etc/x",
    "../x",
    "a/../x",
    "a\\x",
    "..\\x",
    "C:x",
    "C:/x",
    "a//x",
    "a/./x",
    "./x",
    "a/",
    "",
    "a/b/c",
    "a\0b",
    "con",
    "x.",
]


@pytest.mark.parametrize("name", ESCAPES)
def test_a_name_that_escapes_is_refused_and_nothing_is_written(
    tmp_path: Path, name: str, monkeypatch
) -> None:
    archive = write_archive(tmp_path / "in", **small_content())
    monkeypatch.setattr(frame, "check_names", lambda names: sorted(names))
    data = bytearray()
    write_frame({name: b"owned"}, data.extend)
    archive.write_bytes(data)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path / "in")
    with pytest.raises(ArchiveError):
        read_archive(archive)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [archive]


@pytest.mark.parametrize("name", [*ESCAPES, "é"])
def test_a_manifest_that_names_a_file_outside_is_refused(
    archive_file: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(archive_file) as archive:
        archive.extractall(folder)
    (tmp_path / "x").write_bytes(b"secret")
    facts = json.loads((folder / "manifest.json").read_text())
    del facts["sha256"]
    facts["native"]["autoencoder"] = name
    facts["entries"][f"autoencoder/{name}"] = {"size": 6, "sha256": Digest.of(b"secret").sha256}
    facts["sha256"] = Digest.of(encode_json(facts, "")).sha256
    (folder / "manifest.json").write_bytes(encode_json(facts, ""))
    with pytest.raises(ArchiveError, match=r"cannot be used|parts"):
        read_archive(folder)


@pytest.mark.parametrize("part", ["diffraction_to_obj", "diffraction_to_obj/model.ckpt", "params.json"])
def test_a_symbolic_link_in_an_unpacked_archive_is_refused(
    archive_file: Path, tmp_path: Path, part: str
) -> None:
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(archive_file) as archive:
        archive.extractall(folder)
    (folder / part).rename(tmp_path / "elsewhere")
    (folder / part).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArchiveError, match="symbolic link"):
        read_archive(folder)


def zip_of(entries: list[tuple[zipfile.ZipInfo | str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for info, data in entries:
            archive.writestr(info, data)
    return buffer.getvalue()


def test_a_compressed_entry_is_refused_unread(archive_file: Path) -> None:
    bomb = zip_of([("params.json", b"0" * 10**7)], zipfile.ZIP_DEFLATED)
    assert len(bomb) < 20_000
    archive_file.write_bytes(bomb)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match="compressed"):
            read_archive(archive_file)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_symbolic_link_an_encrypted_and_a_double_entry_are_named(archive_file: Path) -> None:
    link = zipfile.ZipInfo("params.json")
    link.external_attr = 0o120777 << 16
    archive_file.write_bytes(zip_of([(link, b"/etc/passwd")]))
    with pytest.raises(ArchiveError, match="symbolic link"):
        read_archive(archive_file)

    locked = bytearray(zip_of([("params.json", b"{}\n")]))
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    locked[6] |= 1
    archive_file.write_bytes(locked)
    with pytest.raises(ArchiveError, match="encrypted"):
        read_archive(archive_file)

    archive_file.write_bytes(frame_of([("a", b"x"), ("a", b"x")]))
    with pytest.raises(ArchiveError, match="twice"):
        read_archive(archive_file)


def frame_of(contents: list[tuple[str, bytes]], crc_change: int = 0) -> bytes:
    """A frame with `contents` as they come, unsorted, CRC-32 changed by `crc_change`."""
    entries: list[frame.Entry] = []
    data = b""
    for name, content in contents:
        entries.append(frame.Entry(name, len(content), zlib.crc32(content) ^ crc_change, len(data)))
        data += entries[-1].local_header() + content
    directory = b"".join(entry.central_record() for entry in entries)
    return data + directory + frame._end_record(len(entries), len(directory), len(data))


def test_entries_in_another_order_or_with_another_crc_are_refused(archive_file: Path) -> None:
    contents = sorted(entries_of(archive_file).items())
    assert frame_of(contents) == archive_file.read_bytes()
    for data in (frame_of(contents[::-1]), frame_of(contents, crc_change=1)):
        archive_file.write_bytes(data)
        with pytest.raises(ArchiveError, match="packed by another tool"):
            read_archive(archive_file)


def test_a_file_packed_by_another_tool_says_what_to_do(archive_file: Path) -> None:
    archive_file.write_bytes(zip_of(list(entries_of(archive_file).items())))
    with pytest.raises(ArchiveError, match="unpack it and give the folder"):
        read_archive(archive_file)


@pytest.mark.parametrize("version", ["3.1", "4.0", "10.0"])
def test_a_newer_version_is_refused(archive_file: Path, version: str) -> None:
    forge(archive_file, {}, version=version)
    with pytest.raises(ArchiveError, match=f"{version}, newer than 3.0.*upgrade pinn-archive"):
        read_archive(archive_file)


@pytest.mark.parametrize("version", ["1.0", "2.9"])
def test_an_older_version_is_refused(archive_file: Path, version: str) -> None:
    forge(archive_file, {}, version=version)
    with pytest.raises(ArchiveError, match=f"{version}: this reader knows 3.0"):
        read_manifest(archive_file)


@pytest.mark.parametrize(
    "facts",
    [
        {"models": ["autoencoder"], "version": "3.0", "backend": "pytorch"},
        {"models": ["autoencoder", "diffraction_to_obj"], "version": "3.1", "backend": "pytorch"},
        {"models": ["autoencoder", "diffraction_to_obj"], "version": "3.0", "backend": "tensorflow"},
        {"models": ["autoencoder", "diffraction_to_obj"], "version": "3.0"},
        {"models": ["autoencoder", ["diffraction_to_obj"]], "version": "3.0", "backend": "pytorch"},
        [],
    ],
)
def test_the_two_manifests_must_agree(archive_file: Path, facts: Any) -> None:
    forge(archive_file, {"manifest.dill": dill.dumps(facts, protocol=4)})
    with pytest.raises(ArchiveError, match="disagree"):
        read_archive(archive_file)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_any_dill_that_says_the_same_is_read(archive_file: Path, protocol: int) -> None:
    facts = {"version": "3.0", "backend": "pytorch", "models": ["autoencoder", "diffraction_to_obj"]}
    forge(archive_file, {"manifest.dill": dill.dumps(facts, protocol=protocol)})
    assert read_archive(archive_file).backend == "pytorch"


@pytest.mark.parametrize(
    "facts",
    [
        {"format": "other"},
        {"models": "autoencoder"},
        {"models": []},
        {"models": ["diffraction_to_obj", "autoencoder"]},
        {"models": ["autoencoder", "autoencoder", "diffraction_to_obj"]},
        {"backend": 3},
        {"backend": "../x"},
        {"native": {}},
        {"native": {"other": "model.ckpt"}},
        {"native": {"diffraction_to_obj": "weights.safetensors"}},
        {"provenance": []},
        {"entries": {}},
        {"entries": {"params.json": 3}},
        {"extra": 1},
        {"version": 3.0},
        {"version": "three"},
    ],
)
def test_a_manifest_of_another_shape_is_refused(archive_file: Path, facts: dict[str, Any]) -> None:
    forge(archive_file, {}, **facts)
    with pytest.raises(ArchiveError):
        read_archive(archive_file)


@pytest.mark.parametrize("size", [-1, True, 2.0, 2**40, "3"])
def test_a_declared_size_is_a_bounded_number(archive_file: Path, size: Any) -> None:
    entries = json.loads(entries_of(archive_file)["manifest.json"])["entries"]
    entries["params.json"]["size"] = size
    forge(archive_file, {}, entries=entries)
    with pytest.raises(ArchiveError):
        read_archive(archive_file)


@pytest.mark.parametrize("size", [3, 10**9])
def test_no_more_than_the_declared_size_is_read(archive_file: Path, tmp_path: Path, size: int) -> None:
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(forge(archive_file, {})) as archive:
        archive.extractall(folder)
    facts = json.loads((folder / "manifest.json").read_text())
    del facts["sha256"]
    facts["entries"]["manifest.dill"]["size"] = size
    facts["sha256"] = Digest.of(encode_json(facts, "")).sha256
    (folder / "manifest.json").write_bytes(encode_json(facts, ""))
    os.truncate(folder / "manifest.dill", 2**24)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match=r"more than 3 bytes|SHA-256"):
            read_archive(folder)
        assert tracemalloc.get_traced_memory()[1] < (2**20 if size == 3 else 2**26)
    finally:
        tracemalloc.stop()


def test_an_entry_that_nobody_lists_is_refused(archive_file: Path) -> None:
    pack(archive_file, entries_of(archive_file) | {"extra.py": b"print()"})
    with pytest.raises(ArchiveError, match=r"different entries; look at extra\.py"):
        read_archive(archive_file)


@pytest.mark.parametrize(
    "text",
    [
        b'{\n "a": NaN\n}\n',
        b'{\n "a": 1e999\n}\n',
        b'{\n "a": 1,\n "a": 1\n}\n',
        b'{"a": 1}\n',
        b'{\n "a": 1\n}',
        b'{\n "b": 1,\n "a": 1\n}\n',
        b"\xff",
        b"",
        b"[" * 100_000,
        json.dumps(json.loads("[" * 66 + "]" * 66), indent=1).encode() + b"\n",
        b'{\n "a": ' + b"9" * 5000 + b"\n}\n",
        '{\n "a": "é"\n}\n'.encode(),
    ],
)
def test_json_is_strict(archive_file: Path, text: bytes) -> None:
    forge(archive_file, {"params.json": text})
    with pytest.raises(ArchiveError, match=r"params\.json"):
        read_archive(archive_file)


@given(st.binary(max_size=40))
def test_bytes_are_refused_or_are_the_canonical_json(data: bytes) -> None:
    try:
        value = decode_json(data, "x")
    except ArchiveError:
        return
    assert encode_json(value, "x") == data


def nested(depth: int) -> Any:
    value: Any = 1
    for n in range(depth):
        value = [value] if n % 2 else {"a": value}
    return value


def test_the_reader_knows_as_many_levels_as_the_writer() -> None:
    assert decode_json(encode_json(nested(64), "x"), "x") == nested(64)
    for deeper in (65, 500):
        with pytest.raises(ArchiveError, match="nested more than 64 deep"):
            encode_json(nested(deeper), "x")
        text = json.dumps(nested(deeper), sort_keys=True, indent=1).encode() + b"\n"
        with pytest.raises(ArchiveError, match="nested more than 64 deep"):
            decode_json(text, "x")


def test_parameters_are_an_object(archive_file: Path) -> None:
    forge(archive_file, {"params.json": b"[]\n"})
    with pytest.raises(ArchiveError, match="must be an object"):
        read_archive(archive_file)


def test_a_manifest_digest_is_of_the_rest(archive_file: Path) -> None:
    data = entries_of(archive_file)["manifest.json"].replace(b"scan_3", b"scan_4")
    with pytest.raises(ArchiveError, match="changed after it was written"):
        decode_manifest(data, "x")


def test_a_message_quotes_what_is_in_an_archive_in_one_short_line(archive_file: Path) -> None:
    long_header = header("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }" + " " * 30_000)
    pieces: list[bytes] = []
    write_frame({"probe.npy": long_header}, pieces.append)
    good = archive_file.read_bytes()
    for changes, facts in (
        ({}, {"a\nb": 1}),
        ({}, {"\x1b[2J": 1}),
        ({}, {f"key{n}" * 100: 1 for n in range(300)}),
        ({"params.npz": b"".join(pieces)}, {}),
        ({"params.json": b'"' + b"x" * 10_000 + b"\n\x1b\xff"}, {}),
        ({"manifest.dill": b"c" + b"x" * 10_000 + b"\ny\n."}, {}),
    ):
        archive_file.write_bytes(good)
        forge(archive_file, changes, **facts)
        with pytest.raises(ArchiveError) as caught:
            read_archive(archive_file)
        assert str(caught.value).isprintable() and len(str(caught.value)) < 3000


@pytest.mark.parametrize(
    "text", ["{'descr': '<f8', 'fortran_order': False, 'shape': (5", "(" * 40, "{'a': [", "1_"]
)
def test_a_header_that_ends_too_early_is_refused(text: str) -> None:
    pieces: list[bytes] = []
    write_frame({"probe.npy": header(text)}, pieces.append)
    with pytest.raises(ArchiveError, match="probe"):
        decode_arrays(b"".join(pieces), "params.npz")


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "wts.h5.zip")
    with pytest.raises(ArchiveError, match="no regular file"):
        read_archive(tmp_path)


def test_importing_loads_no_framework() -> None:
    frameworks = {"torch", "tensorflow", "keras", "lightning"}
    code = f"import sys, pinn_archive; print(sorted({frameworks} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

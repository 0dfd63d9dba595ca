"""Law: every truncated, flipped, added or missing byte is an `ArchiveError`."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from archive_contents import same, small_content
from hypothesis import given
from hypothesis import strategies as st
from pinn_archive import ArchiveError, ArchiveNotFoundError, ModelPayload, read_archive, reader, write_archive


def refused(path: Path) -> bool:
    try:
        read_archive(path)
    except ArchiveError:
        return True
    return False


def test_every_flipped_byte_is_noticed(archive_file: Path) -> None:
    good = archive_file.read_bytes()
    missed = []
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 1 << at % 8
        archive_file.write_bytes(bad)
        if not refused(archive_file):
            missed.append(at)
    assert missed == []


def test_every_truncation_is_noticed(archive_file: Path) -> None:
    good = archive_file.read_bytes()
    missed = []
    for length in range(len(good)):
        archive_file.write_bytes(good[:length])
        if not refused(archive_file):
            missed.append(length)
    assert missed == []


@given(st.data())
def test_any_other_bytes_are_noticed(archive_file: Path, data: st.DataObject) -> None:
    good = write_archive(archive_file, **small_content()).read_bytes()
    start = data.draw(st.integers(0, len(good)))
    stop = data.draw(st.integers(start, min(start + 30, len(good))))
    bad = good[:start] + data.draw(st.binary(max_size=30)) + good[stop:]
    archive_file.write_bytes(bad)
    assert refused(archive_file) == (bad != good)


def unpacked(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    return folder


def test_every_flipped_byte_of_an_unpacked_archive_is_noticed(archive_file: Path, tmp_path: Path) -> None:
    folder = unpacked(archive_file, tmp_path / "unpacked")
    missed = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        good = path.read_bytes()
        for at in range(len(good)):
            bad = bytearray(good)
            bad[at] ^= 1 << at % 8
            path.write_bytes(bad)
            if not refused(folder):
                missed.append((path.name, at))
        path.write_bytes(good)
    assert missed == []
    assert same(read_archive(folder).params, small_content()["params"])


def test_every_file_of_an_unpacked_archive_is_needed_whole(archive_file: Path, tmp_path: Path) -> None:
    folder = unpacked(archive_file, tmp_path / "unpacked")
    (folder / "wts.h5.zip").unlink(missing_ok=True)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        good = path.read_bytes()
        for bad in (good[:-1], good + b"\0", b""):
            path.write_bytes(bad)
            assert bad == good or refused(folder), path
        path.unlink()
        assert refused(folder), path
        path.write_bytes(good)


def test_a_file_that_shrinks_while_it_is_read_is_noticed(
    archive_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Large enough that no buffer holds all of it.
    models = {"m": ModelPayload({"w": np.zeros(100_000)})}
    write_archive(archive_file, **small_content() | {"models": models})
    real = reader.read_frame

    def shrink(*arguments):
        frame = real(*arguments)
        with open(archive_file, "r+b") as file:
            file.truncate(50)
        return frame

    monkeypatch.setattr(reader, "read_frame", shrink)
    with pytest.raises(ArchiveError, match="ends after"):
        read_archive(archive_file)


@pytest.mark.parametrize("name", ["missing", "missing.zip", "missing/wts.h5"])
def test_no_archive_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveNotFoundError, match="no model archive at"):
        read_archive(tmp_path / name)


def test_a_folder_without_archive_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"should hold wts\.h5\.zip"):
        read_archive(tmp_path)


def test_an_empty_file_and_a_foreign_file_say_so(tmp_path: Path) -> None:
    path = tmp_path / "wts.h5.zip"
    path.write_bytes(b"")
    with pytest.raises(ArchiveError, match="0 bytes"):
        read_archive(tmp_path)
    path.write_bytes(b"\x89HDF\r\n\x1a\n" * 10)
    with pytest.raises(ArchiveError, match="does not end like an archive"):
        read_archive(tmp_path)

"""Laws of files that are no archives of this format: any bytes have some names, or none, and an archive of
the public implementation is told from one of ours that is damaged."""

from __future__ import annotations

import copy
import io
import zipfile
from pathlib import Path
from typing import Any

import dill
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_archive import ArchiveError, ForeignArchiveError, read_archive, read_manifest
from pinn_archive.foreign import foreign_backend, names_in


def zipped(names: list[str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, b"content")
    return buffer.getvalue()


def test_the_names_in_a_file_and_in_a_folder_are_the_same(tmp_path: Path) -> None:
    names = ["manifest.dill", "autoencoder/model.pth"]
    path = tmp_path / "wts.h5.zip"
    path.write_bytes(zipped(names))
    with zipfile.ZipFile(path) as file:
        file.extractall(tmp_path / "folder")
    assert names_in(path) == set(names)
    assert names_in(tmp_path / "folder") == {*names, "autoencoder"}
    assert names_in(tmp_path / "missing") == set()


@given(st.data())
def test_damaged_bytes_have_some_names_or_none(tmp_path: Path, data: st.DataObject) -> None:
    good = zipped(["manifest.dill", "autoencoder/model.pth"])
    bad = bytearray(good)
    # The directory and the end record are where `zipfile` trips.
    for _ in range(data.draw(st.integers(1, 4))):
        bad[data.draw(st.integers(good.index(b"PK\1\2"), len(good) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.zip"
    path.write_bytes(
        bytes(bad[: data.draw(st.integers(0, len(bad)))]) if data.draw(st.booleans()) else bytes(bad)
    )
    assert isinstance(names_in(path), frozenset)


def test_a_directory_that_is_none_has_no_names(tmp_path: Path) -> None:
    good = zipped(["model.keras"])
    path = tmp_path / "wts.h5.zip"
    path.write_bytes(good.replace(b"PK\1\2", b"PK\1\3"))
    assert zipfile.is_zipfile(path)  # its end is in order
    assert names_in(path) == set()


# Archives of the public implementation

_FACTS = {"models": ["autoencoder", "diffraction_to_obj"], "version": "1.0"}


def _public(folder: Path, facts: Any, files: list[str]) -> list[Path]:
    """An archive as the public implementation packs it, and the same unpacked."""
    folder.mkdir(exist_ok=True)
    path = folder / "wts.h5.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("manifest.dill", dill.dumps(facts))
        for name in files:
            file.writestr(f"diffraction_to_obj/{name}", b"content")
    with zipfile.ZipFile(path) as file:
        file.extractall(folder / "unpacked")
    return [path, folder / "unpacked"]


@pytest.mark.parametrize(
    ("said", "files", "backend"),
    [
        ({}, [], "tensorflow"),
        ({}, ["model.keras", "params.dill", "custom_objects.dill"], "tensorflow"),
        ({"version": "2.0"}, ["saved_model.pb"], "tensorflow"),
        ({"version": "2.0-pytorch"}, ["model.pth", "params.dill"], "pytorch"),
        ({"backend": "pytorch"}, [], "pytorch"),
        ({"backend": "tensorflow"}, ["model.pth"], "tensorflow"),
        ({"backend": None}, ["model.h5"], "tensorflow"),
    ],
)
def test_an_archive_of_the_public_implementation_is_told_as_such(tmp_path, said, files, backend):
    facts = {**_FACTS, **said}
    if facts.get("backend", "") is None:
        del facts["backend"]
    for form in _public(tmp_path / "public", facts, files):
        assert foreign_backend(form) == backend
        for read in (read_archive, read_manifest):
            with pytest.raises(ForeignArchiveError) as caught:
                read(form)
            text = str(caught.value)
            assert f"{form} was written by the backend {backend!r} of the public implementation" in text
            assert "which can open it" in text and "no archive of ours" in text and "\n" not in text
            assert "damaged" not in text and "changed" not in text
            again = copy.copy(caught.value)  # as between processes
            assert (str(again), again.backend) == (text, backend)


class _Evil:
    def __reduce__(self) -> Any:
        return open, ("evil", "w")


@pytest.mark.parametrize(
    ("facts", "files", "backend"),
    [
        (_Evil(), ["model.keras"], "tensorflow"),
        ({**_FACTS, "backend": _Evil()}, [], None),
        ({**_FACTS, "backend": "a\nb"}, ["model.keras"], None),
        ({**_FACTS, "models": "x" * (1 << 20)}, [], None),
        ([_FACTS], [], None),
        (_FACTS | {"version": "3.0", "backend": "pytorch"}, [], None),  # ours, of which the rest is missing
    ],
)
def test_a_manifest_that_says_something_else_makes_no_archive_of_it(
    tmp_path, monkeypatch, facts, files, backend
):
    monkeypatch.chdir(tmp_path)
    for form in _public(tmp_path / "odd", facts, files):
        assert foreign_backend(form) == backend
        with pytest.raises(ArchiveError):
            read_archive(form)
    assert not (tmp_path / "evil").exists()


@given(st.data())
def test_one_of_ours_that_is_damaged_is_never_foreign(archive_file: Path, data: st.DataObject) -> None:
    good = archive_file.read_bytes()
    try:
        bad = bytearray(good)
        places = st.lists(st.integers(0, len(good) - 1), min_size=1, max_size=4, unique=True)
        for place in data.draw(places):
            bad[place] ^= data.draw(st.integers(1, 255))
        archive_file.write_bytes(bad[: data.draw(st.sampled_from([len(good), len(good) // 2, 100]))])
        with pytest.raises(ArchiveError) as caught:
            read_archive(archive_file)
        assert not isinstance(caught.value, ForeignArchiveError)
    finally:
        archive_file.write_bytes(good)


def test_one_of_theirs_that_is_cut_is_truncated(tmp_path: Path) -> None:
    path, _ = _public(tmp_path / "public", _FACTS, ["model.keras"])
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ArchiveError, match="truncated") as caught:
        read_archive(path)
    assert not isinstance(caught.value, ForeignArchiveError)

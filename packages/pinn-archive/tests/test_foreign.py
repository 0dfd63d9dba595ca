"""Laws of the names in files that are no archives of this format: any bytes have some, or none."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from pinn_archive.foreign import names_in


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

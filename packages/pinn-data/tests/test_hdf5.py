"""HDF5 files that nobody vouches for: nothing outside the file, nothing larger than it can hold."""

import os

import h5py
import numpy as np
import pytest
from pinn_data import errors
from pinn_data.files.frame_stack import hdf5_frames, open_frames
from pinn_data.files.hdf5 import find_dataset, opened, read_one


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.ones((2, 4, 4))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        yield file


def a_virtual_dataset(file):
    layout = h5py.VirtualLayout((2, 4, 4), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "secret", (2, 4, 4))
    file.create_virtual_dataset("x", layout)


def raw_bytes_of_another_file(file):
    file.create_dataset("x", (2, 4, 4), "f8", external=[("other.h5", 0, h5py.h5f.UNLIMITED)])


def a_link_through_another_file(file):
    file["away"] = h5py.ExternalLink("other.h5", "/")
    file["x"] = h5py.SoftLink("/away/secret")


def a_circle(file):
    file["x"], file["y"] = h5py.SoftLink("/y"), h5py.SoftLink("/x")


def a_bomb(file):
    file.create_dataset("x", (2**20, 2**12, 2**12), "u2", chunks=(1, 64, 64), compression="gzip")


def a_chunk_as_large_as_memory(file):
    file.create_dataset("x", (1, 4, 4), "u2", chunks=(2**12, 2**8, 2**9), maxshape=(None, None, None))


def a_chunk_of_12_mebibytes(file):
    file.create_dataset("x", (1, 4, 4), "u2", chunks=(6, 2**10, 2**10), maxshape=(None, None, None))


def one_chunk_of_a_hundred(file):
    file.create_dataset("x", (1000, 4, 4), "u2", chunks=(10, 4, 4))
    file["x"][0] = 1


def pickles(file):
    file.create_dataset("x", (2,), h5py.special_dtype(vlen=np.dtype("u1")))


HOSTILE = {
    a_virtual_dataset: "lies in another file",
    raw_bytes_of_another_file: "lies in another file",
    a_link_through_another_file: "link into another file, which is not followed",
    a_circle: "is a circular link",
    a_bomb: "declares 35184372088832 bytes .* but 0 are stored.*forged",
    a_chunk_as_large_as_memory: "holds 32 bytes in chunks of 1073741824",
    a_chunk_of_12_mebibytes: "holds 32 bytes in chunks of 12582912",
    one_chunk_of_a_hundred: r"only 1 of its chunks \(10, 4, 4\) were ever written",
    pickles: "three axes|declares",
}


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda f: f.__name__)
def test_hostile_files_are_refused_in_one_sentence(file, tmp_path, only_sentence, hostile):
    hostile(file)
    file.close()
    path = tmp_path / "a.h5"
    with pytest.raises(errors.PinnDataError, match=HOSTILE[hostile]) as caught:
        hdf5_frames(path, ("x",))
    only_sentence(caught, path)


def test_a_filter_that_is_not_there_is_named(file, tmp_path):
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((1, 4, 4))
    creation.set_filter(32008, h5py.h5z.FLAG_OPTIONAL, (0,))  # bitshuffle
    h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_UINT16, h5py.h5s.create_simple((1, 4, 4)), creation)
    file["x"][...] = 1
    with pytest.raises(errors.DataFormatError, match=r"HDF5 filter 32008 .*h5repack"):
        find_dataset(file, "x")


def test_half_of_a_recording_is_read(file):
    file.create_dataset("x", (20, 4, 4), "u2", chunks=(2, 4, 4))
    file["x"][:10] = 1
    assert find_dataset(file, "x").shape == (20, 4, 4)


def text_in_the_place_of_frames(file, name):
    file[name] = np.array([b"a"])


def frames_of_four_axes(file, name):
    file[name] = np.zeros((2, 4, 4, 1))


def fields_with_names(file, name):
    file[name] = np.zeros((2, 4, 4), [(f"\x1b{n}", "f8") for n in range(900)])


def a_filter_with_a_name(file, name):
    file.create_dataset(name, data=np.ones((2, 4, 4)), compression="gzip")


@pytest.mark.parametrize(
    "put", [text_in_the_place_of_frames, frames_of_four_axes, fields_with_names, a_filter_with_a_name]
)
def test_what_a_file_says_is_told_in_one_line(file, tmp_path, put):
    """Names of datasets behind links, of fields and of filters are the file's own words."""
    put(file, "a\nb\x1b[2J")
    file["x"] = h5py.SoftLink("/a\nb\x1b[2J")
    file.close()
    path = tmp_path / "a.h5"
    # The name stands eight bytes behind the number of the filter, which becomes one that nobody has.
    forged = path.read_bytes().replace(
        b"\x01\x00\x08\x00\x01\x00\x01\x00deflate", b"\x07\x7d\x08\x00\x01\x00\x01\x00d\nfl\x1bte"
    )
    path.write_bytes(forged)
    with pytest.raises(errors.PinnDataError) as caught:
        hdf5_frames(path, ("x",))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1000


def test_a_list_of_names_is_told_in_one_line(file, tmp_path):
    for number in range(200):
        file.create_group(f"{number}\n" + "x" * 500)
    file.close()
    with pytest.raises(errors.DataKeyError, match="has no dataset x") as caught:
        hdf5_frames(tmp_path / "a.h5", ("x",))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1500


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bad_pixels", np.zeros((4, 5), bool)),
        ("bad_pixels", np.zeros((4, 4), [("a", "f8")])),
        ("bad_pixels", np.zeros((4, 4), "S3")),
        ("indexes", np.zeros(2)),
        ("indexes", np.zeros(3, int)),
    ],
)
@pytest.mark.parametrize("form", ["HDF5", "NPZ"])
def test_what_lies_beside_frames_is_looked_at_before_it_is_read(tmp_path, only_sentence, form, name, value):
    entries = {"patterns": np.ones((2, 4, 4)), name: value}
    path = tmp_path / "a"
    if form == "NPZ":
        with path.open("wb") as stream:
            np.savez(stream, **entries)
    else:
        with h5py.File(path, "w") as file:
            for key, entry in entries.items():
                file[key] = entry
    with pytest.raises(errors.ShapeError, match=f"{name} is .*, but one") as caught:
        open_frames(path)
    only_sentence(caught, path)


def test_texts_beside_frames_are_not_read(file, tmp_path, monkeypatch):
    """One long text that is meant very often would be as large as anybody likes."""
    file["patterns"] = np.ones((2, 4, 4))
    file.create_dataset("bad_pixels", (4, 4), h5py.string_dtype())[...] = "x" * 1000
    file.close()
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda *_: pytest.fail("it was read"))
    with pytest.raises(errors.ShapeError, match="bad_pixels is object"):
        open_frames(tmp_path / "a.h5")


def test_links_within_the_file_are_followed(file):
    file["a/b/data"] = np.arange(3)
    file["a/soft"], file["abs"] = h5py.SoftLink("b"), h5py.SoftLink("/a/soft")
    for name in ("a/b/data", "/a/soft/data", "abs/data"):
        assert find_dataset(file, "nothing", name).shape == (3,)
    assert find_dataset(file, "nothing", "a/b/data/deeper", "a/nothing") is None


def test_one_number(file):
    file["one"], file["same"] = 2.5, [3, 3, 3]
    assert (read_one(file["one"]), read_one(file["same"])) == (2.5, 3.0)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n" + bytes(90)])
def test_foreign_and_truncated_files(tmp_path, only_sentence, content):
    path = tmp_path / "b.h5"
    path.write_bytes(content)
    with (
        pytest.raises(errors.DataFormatError, match="not a readable CXI file") as caught,
        opened(path, "CXI file"),
    ):
        pass
    only_sentence(caught, path)


def test_every_truncation_ends_in_one_sentence(file, tmp_path, only_sentence):
    file.create_dataset("x", data=np.random.default_rng(0).integers(0, 9, (5, 8, 8)), chunks=(1, 8, 8))
    file.close()
    path, whole = tmp_path / "a.h5", (tmp_path / "a.h5").read_bytes()
    for length in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:length])
        with pytest.raises(errors.PinnDataError) as caught:
            list(hdf5_frames(path, ("x",)).blocks())
        only_sentence(caught, path)


def test_missing_files_and_folders(tmp_path):
    for path in (tmp_path / "none.h5", tmp_path):
        with (
            pytest.raises(errors.DataFileNotFoundError, match=str(path)),
            opened(path, "CXI file"),
        ):
            pass


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is forbidden to this user")
def test_a_forbidden_file(tmp_path):
    path = tmp_path / "a.h5"
    path.touch(mode=0)
    with pytest.raises(errors.DataFormatError, match="permission denied"), opened(path, "CXI file"):
        pass

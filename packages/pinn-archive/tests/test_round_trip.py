"""Law: ``read(write(x)) == x``; the same x is the same bytes."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path

import dill
import numpy as np
import pytest
from archive_contents import same, small_content
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pinn_archive import ArchiveError, ModelPayload, archive_path, read_archive, read_manifest, write_archive

labels = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}[A-Za-z0-9_-]", fullmatch=True).filter(
    lambda text: not text.lower().startswith(("con", "prn", "aux", "nul", "com", "lpt"))
)
weight_dtypes = st.sampled_from(
    ["?", "i1", "<i2", "<i4", "<i8", "u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8", ">f4", ">i2"]
)
array_dtypes = st.one_of(weight_dtypes, st.sampled_from(["<c8", "<c16", ">c8"]))
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def unique(names: st.SearchStrategy[str], values: st.SearchStrategy, **kw: int) -> st.SearchStrategy[dict]:
    """Dicts whose keys stay apart on a file system that ignores case."""
    return st.lists(
        st.tuples(names, values), unique_by=lambda pair: pair[0].casefold(), max_size=3, **kw
    ).map(dict)


payloads = st.builds(
    lambda weights, native: ModelPayload(weights, *native),
    st.dictionaries(
        st.text(min_size=1).filter(lambda name: name != "__metadata__"),
        hnp.arrays(weight_dtypes, shapes),
        max_size=3,
    ),
    st.one_of(
        st.just((None, None)),
        st.tuples(labels.filter(lambda name: name.lower() != "weights.safetensors"), st.binary(max_size=50)),
    ),
)
contents = st.fixed_dictionaries(
    {
        "models": unique(
            labels.filter(lambda name: not name.lower().startswith(("manifest.", "params."))),
            payloads,
            min_size=1,
        ),
        "params": st.dictionaries(st.text(), json_values, max_size=4),
        "arrays": unique(labels, hnp.arrays(array_dtypes, shapes)),
        "backend": labels,
        "provenance": st.dictionaries(st.text(), json_values, max_size=3),
    }
)


@given(contents)
def test_reading_gives_back_what_was_written(content: dict) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_archive(folder, **content)
        found = read_archive(folder)
        manifest = read_manifest(path)
        assert os.listdir(folder) == ["wts.h5.zip"]
    assert found.version == manifest.version == "3.0"
    for name in ("models", "params", "arrays", "backend", "provenance"):
        assert same(content[name], getattr(found, name)), name
    assert manifest.backend == content["backend"]
    assert list(manifest.models) == sorted(content["models"])


@given(contents, st.randoms(use_true_random=False))
def test_the_same_content_is_the_same_bytes_in_any_order(content: dict, random) -> None:
    def shuffled(mapping: dict) -> dict:
        items = list(mapping.items())
        random.shuffle(items)
        return dict(items)

    other = {key: shuffled(value) if isinstance(value, dict) else value for key, value in content.items()}
    other["models"] = {
        name: ModelPayload(shuffled(payload.weights), payload.native_name, payload.native)
        for name, payload in other["models"].items()
    }
    with tempfile.TemporaryDirectory() as folder:
        first = write_archive(Path(folder, "a"), **content).read_bytes()
        again = write_archive(Path(folder, "b"), **other).read_bytes()
    assert first == again


@given(contents)
def test_an_unpacked_archive_reads_the_same(content: dict) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_archive(folder, **content)
        unpacked = Path(folder, "unpacked")
        with zipfile.ZipFile(path) as archive:
            archive.extractall(unpacked)
        (unpacked / "Thumbs.db").write_bytes(b"left by a file browser")
        found = read_archive(unpacked)
    for name in ("models", "params", "arrays", "backend", "provenance"):
        assert same(content[name], getattr(found, name)), name


def test_ordinary_tools_read_the_file(archive_file: Path) -> None:
    with zipfile.ZipFile(archive_file) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(archive.namelist())
        facts = dill.loads(archive.read("manifest.dill"))  # noqa: S301 - it was pickled here
        with archive.open("params.npz") as file, np.load(file, allow_pickle=False) as arrays:
            probe = arrays["probe"]
    assert facts == {"models": ["autoencoder", "diffraction_to_obj"], "version": "3.0", "backend": "pytorch"}
    assert same(probe, small_content()["arrays"]["probe"])


def test_weights_and_arrays_may_be_written(archive_file: Path) -> None:
    found = read_archive(archive_file)
    found.arrays["probe"][0, 0] = 3j
    kernel = found.models["diffraction_to_obj"].weights["kernel"]
    kernel += 1
    assert found.arrays["probe"][0, 0] == 3j
    assert not same(kernel, small_content()["models"]["diffraction_to_obj"].weights["kernel"])


def test_strided_and_fortran_arrays_are_stored_by_value(tmp_path: Path) -> None:
    grid = np.arange(24.0).reshape(4, 6)
    content = small_content() | {
        "arrays": {"t": np.asfortranarray(grid), "s": grid[::2, ::-3]},
        "models": {"m": ModelPayload({"t": grid.T, "s": grid[1::2, ::2]})},
    }
    found = read_archive(write_archive(tmp_path, **content))
    assert same(found.arrays["s"], grid[::2, ::-3].copy()) and same(found.arrays["t"], grid)
    assert same(found.models["m"].weights["t"], grid.T.copy()) and same(
        found.models["m"].weights["s"], grid[1::2, ::2].copy()
    )


def test_numpy_scalars_and_tuples_become_json(tmp_path: Path) -> None:
    params = {"n": np.int64(3), "x": np.float32(0.5), "b": np.True_, "t": (1, (2, "a"))}
    found = read_archive(write_archive(tmp_path, **small_content() | {"params": params}))
    assert found.params == {"n": 3, "x": 0.5, "b": True, "t": [1, [2, "a"]]}


@pytest.mark.parametrize("name", ["out", "out/wts.h5", "out/wts.h5.zip"])
def test_one_canonical_name(tmp_path: Path, name: str) -> None:
    path = write_archive(tmp_path / name, **small_content())
    assert path == tmp_path / "out" / "wts.h5.zip" == archive_path(tmp_path / name)
    for way in ("out", "out/wts.h5", "out/wts.h5.zip"):
        assert read_archive(tmp_path / way).backend == "pytorch"


def test_another_zip_name_is_kept(tmp_path: Path) -> None:
    assert write_archive(str(tmp_path / "best.zip"), **small_content()) == tmp_path / "best.zip"
    assert read_archive(tmp_path / "best.zip").params["N"] == 8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"models": {}}, "at least one"),
        ({"models": {"../a": ModelPayload({})}}, "model name '../a'"),
        ({"models": {"a": ModelPayload({}), "A": ModelPayload({})}}, "twice"),
        ({"models": {"aB": ModelPayload({}), "Ab": ModelPayload({})}}, "twice"),
        ({"models": {"params.json": ModelPayload({})}}, "both a file and the folder"),
        ({"models": {"m": ModelPayload({"w": np.ones(2, complex)})}}, "complex128"),
        ({"models": {"m": ModelPayload({"__metadata__": np.ones(2)})}}, "__metadata__"),
        ({"models": {"m": ModelPayload({"w": [1.0]})}}, "list"),
        ({"models": {"m": ModelPayload({}, "x.ckpt", None)}}, "both or neither"),
        ({"models": {"m": ModelPayload({}, "weights.safetensors", b"")}}, "canonical weights"),
        ({"models": {"m": ModelPayload({}, "a/b", b"")}}, "native file name 'a/b'"),
        ({"backend": ""}, "backend ''"),
        ({"params": {"a": {"b": [0, float("nan")]}}}, r"params\['a'\]\['b'\]\[1\] is nan"),
        ({"params": {"path": Path("x")}}, r"params\['path'\] is a"),
        ({"params": {3: 4}}, "key 3"),
        ({"params": [1]}, "params is a list"),
        ({"params": {"big": 2**64}}, "64 bits"),
        ({"arrays": {"a": np.array(["text"])}}, "dtype <U4"),
        ({"arrays": {"a": np.array([None])}}, "dtype object"),
        ({"arrays": {"a/b": np.ones(2)}}, "array name 'a/b'"),
        ({"arrays": {"con": np.ones(2)}}, "Windows device"),
    ],
)
def test_what_the_format_does_not_hold_is_refused_and_nothing_is_written(
    tmp_path: Path, change: dict, words: str
) -> None:
    with pytest.raises(ArchiveError, match=words):
        write_archive(tmp_path / "out", **small_content() | change)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("notes")
    with pytest.raises(ArchiveError, match="is a file"):
        write_archive(tmp_path / "out", **small_content())


def test_nesting_is_bounded(tmp_path: Path) -> None:
    deep: list = []
    deep.append(deep)
    with pytest.raises(ArchiveError, match="nested"):
        write_archive(tmp_path, **small_content() | {"params": {"deep": deep}})


def test_the_bytes_do_not_depend_on_which_texts_are_one_object(tmp_path: Path) -> None:
    literal, name, other = "pytorch", "".join(["pyt", "orch"]), "".join(["py", "torch"])
    assert len({id(literal), id(name), id(other)}) == 3
    found = set()
    for model, backend in ((literal, literal), (name, name), (name, other), (literal, other)):
        content = small_content() | {"models": {model: ModelPayload({})}, "backend": backend}
        found.add(write_archive(tmp_path, **content).read_bytes())
    assert len(found) == 1

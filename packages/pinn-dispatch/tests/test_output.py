"""Output folders are proven before the work, and files appear whole."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_dispatch.cli.shared.output import output_folder, write_json, write_table
from pinn_dispatch.errors import OutputError


def test_the_folder_is_made_and_left_clean(tmp_path):
    with output_folder(tmp_path / "a" / "b") as folder:
        assert list(folder.iterdir()) == []
    assert folder.is_dir()


def test_a_failure_takes_the_empty_folders_away(tmp_path):
    (tmp_path / "kept").mkdir()
    with pytest.raises(KeyboardInterrupt), output_folder(tmp_path / "kept" / "a" / "b"):
        raise KeyboardInterrupt
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_failure_keeps_what_was_there_or_written(tmp_path):
    with pytest.raises(RuntimeError), output_folder(tmp_path / "a" / "b") as folder:
        (folder / "result").write_text("whole")
        raise RuntimeError
    assert (tmp_path / "a" / "b" / "result").read_text() == "whole"


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "sub" / "sub"):
        with pytest.raises(OutputError, match=r"cannot be written.*choose a folder"), output_folder(path):
            pytest.fail("the work must not begin")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_refuses(tmp_path, monkeypatch):
    """Permissions do not stop the superuser, so the refusal is the system's own exception."""

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.touch", refuse)
    with pytest.raises(OutputError, match="permission denied"), output_folder(tmp_path / "new" / "deep"):
        pytest.fail("the work must not begin")
    assert list(tmp_path.iterdir()) == []


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def _finite(value):
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@given(st.dictionaries(st.text(max_size=3), values, max_size=4))
def test_json_round_trip_with_null_for_what_is_not_finite(tmp_path, value):
    assert json.loads(write_json(tmp_path / "m.json", value).read_text("utf-8")) == _finite(value)


def test_json_takes_numpy_and_paths(tmp_path):
    path = write_json(
        tmp_path / "m.json", {"a": np.float32(0.5), "b": np.arange(2), "c": tmp_path, "d": (np.int64(1),)}
    )
    assert json.loads(path.read_text()) == {"a": 0.5, "b": [0, 1], "c": str(tmp_path), "d": [1]}


def test_table_has_the_columns_and_empty_cells(tmp_path):
    path = write_table(tmp_path / "t.csv", [{"a": 1, "b": None, "c": 3}], ["a", "b"])
    assert path.read_text() == "a,b\n1,\n"
    assert list(tmp_path.iterdir()) == [path]

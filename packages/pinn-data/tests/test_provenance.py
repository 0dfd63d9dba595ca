"""A record says what was run, on what and with which versions; its digests are those of the data."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data import __version__
from pinn_data.files.npz import read_scan, write_scan
from pinn_data.run import run_record as provenance
from pinn_data.run.run_record import (
    PROVENANCE_KEYS,
    TIMES,
    Origin,
    input_of,
    joined,
    without_times,
    write_provenance,
)
from pinn_data.testing import small_scan


def _record(scan, config=None, *, validation=None, model=None, seed=3):
    config = config or TrainingConfig(ModelConfig(), subsample_seed=9)
    origin = Origin(scan, validation=validation, model=model)
    versions = {"a framework": "1.2"}
    return origin.record(
        config, PyTorchExecutionConfig(), seed=seed, backend="one", package="pinn_data", frameworks=versions
    )


def _fields(kind):
    return {item.name for item in dataclasses.fields(kind)}


def test_a_record_is_complete_and_json(tmp_path):
    scan = read_scan(write_scan(tmp_path / "scan.npz", small_scan(16), unit="counts"))
    config = TrainingConfig(
        ModelConfig(N=16),
        output_dir=tmp_path,
        train_data_file=tmp_path / "scan.npz",
        subsample_seed=np.int64(9),
        max_neighbor_distance=float("inf"),
    )
    record = _record(scan, config, validation=small_scan(16, rows=3))
    assert tuple(record) == PROVENANCE_KEYS
    text = json.dumps(record, allow_nan=False)
    assert json.loads(text) == record and str(tmp_path) not in text
    assert record["packages"]["pinn-data"] == __version__ and "pinn-config" in record["packages"]
    assert record["frameworks"] == {"numpy": np.__version__, "a framework": "1.2"}
    assert record["seeds"] == {"seed": 3, "subsample_seed": 9}
    places = {"train_data_file", "test_data_file", "output_dir", "model_path"}
    settings = record["configuration"]
    assert settings["model"] == dataclasses.asdict(config.model)
    assert settings["training"].keys() == _fields(TrainingConfig) - places - {"model"} | {"execution"}
    assert settings["training"]["backend"] == "one" != config.backend
    assert settings["training"]["execution"] == dataclasses.asdict(PyTorchExecutionConfig())
    assert settings["training"]["max_neighbor_distance"] == "inf" and settings["inference"] is None
    assert (record["test_input"]["frames"], record["model"]) == (9, None)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", record[time]) for time in TIMES)
    assert record["started"] <= record["finished"]


def test_the_table_of_the_module_is_the_record():
    rows = re.findall(r"^``(\w+)``  ", provenance.__doc__, flags=re.M)
    assert tuple(rows) == PROVENANCE_KEYS


def test_the_digest_of_a_file_is_that_of_sha256sum(tmp_path):
    path = write_scan(tmp_path / "scan.npz", small_scan(16), unit="counts")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    scan = read_scan(path)
    expected = {"name": "scan.npz", "sha256": digest, "of": "file", "frames": len(scan), "N": 16}
    assert input_of(scan) == expected
    assert input_of(scan.select([2, 4])) == expected | {"frames": 2}


def test_a_file_is_hashed_once_until_it_changes(tmp_path, monkeypatch):
    path = write_scan(tmp_path / "scan.npz", small_scan(16), unit="counts")
    scan, read = read_scan(path), []
    whole = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, name: read.append(1) or whole(file, name))
    first = _record(scan, validation=scan)
    assert first["input"] == first["test_input"] == _record(scan)["input"] and len(read) == 1
    write_scan(path, small_scan(16, rows=3), unit="counts")
    assert input_of(scan)["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_is_gone_leaves_the_arrays(tmp_path):
    scan = read_scan(write_scan(tmp_path / "scan.npz", small_scan(16), unit="counts"))
    (tmp_path / "scan.npz").unlink()
    without_file = attrs.evolve(scan, source=None)
    assert input_of(scan) == input_of(without_file) | {"name": "scan.npz"}
    assert input_of(scan)["of"] == "arrays"


def _changed(scan, part):
    """The scan with one number of one part changed, or another unit."""
    if part == "unit":
        return attrs.evolve(scan, unit="intensity")
    array = getattr(scan, part).copy()
    array[(1,) * array.ndim] += 1
    return attrs.evolve(scan, **{part: array})


@given(part=st.sampled_from(["unit", "diffraction", "positions", "probe", "object"]))
def test_the_digest_of_arrays_is_another_where_anything_is(part):
    scan = small_scan(16)
    assert input_of(scan) == input_of(small_scan(16))
    assert input_of(scan)["sha256"] != input_of(_changed(scan, part))["sha256"]
    swapped = scan.select([1, 0, *range(2, len(scan))])
    assert input_of(scan)["sha256"] != input_of(swapped)["sha256"]


def test_the_digest_of_arrays_does_not_depend_on_how_they_lie_in_memory(monkeypatch):
    scan = small_scan(16)
    digest = input_of(scan)["sha256"]
    big = scan.diffraction.dtype.newbyteorder(">")
    for stack in (np.asfortranarray(scan.diffraction), scan.diffraction.astype(big)):
        assert input_of(attrs.evolve(scan, diffraction=stack))["sha256"] == digest
    monkeypatch.setattr("pinn_data.scan.diffraction._BLOCK_PIXELS", 1)  # a frame a block
    assert input_of(scan)["sha256"] == digest


def test_the_model_is_the_archive_or_the_table_of_an_unpacked_one(tmp_path):
    archive, unpacked = tmp_path / "wts.h5.zip", tmp_path / "unpacked"
    archive.write_bytes(b"an archive")
    unpacked.mkdir()
    (unpacked / "manifest.json").write_bytes(b"{}")
    config = InferenceConfig(ModelConfig(), model_path=archive)
    for given_path, name, content in (
        (archive, "wts.h5.zip", b"an archive"),
        (str(unpacked), "manifest.json", b"{}"),
    ):
        record = _record(small_scan(16), config, model=given_path)
        assert record["model"] == {"name": name, "sha256": hashlib.sha256(content).hexdigest()}
        assert record["configuration"]["training"] is None
        executed = record["configuration"]["inference"]["execution"]
        # What a reconstruction does not ask for is not said to have had an effect.
        assert {"precision", "middle_trim"} <= executed.keys() and "learning_rate" not in executed
    record = _record(small_scan(16), config, model=tmp_path / "gone.zip")
    assert record["model"] == {"name": "gone.zip", "sha256": None}


def test_an_error_in_the_thread_is_raised_where_the_record_is_made(monkeypatch):
    def fail(scan):
        raise RuntimeError("no digest")

    monkeypatch.setattr(provenance, "input_of", fail)
    with pytest.raises(RuntimeError, match="no digest"):
        _record(small_scan(16))


def test_a_training_and_its_reconstruction_are_one_record():
    scan = small_scan(16)
    training = _record(scan, validation=small_scan(16, rows=3))
    stitched = _record(small_scan(16, rows=3), InferenceConfig(ModelConfig()))
    stitched["finished"] = "2999-01-01T00:00:00+00:00"
    both = joined(training, stitched)
    assert tuple(both) == PROVENANCE_KEYS
    assert both["configuration"] == {
        "model": training["configuration"]["model"],
        "training": training["configuration"]["training"],
        "inference": stitched["configuration"]["inference"],
    }
    assert (both["input"], both["test_input"]) == (training["input"], stitched["input"])
    assert (both["started"], both["finished"]) == (training["started"], stitched["finished"])


def test_two_runs_differ_in_their_times_alone():
    assert without_times(_record(small_scan(16))) == without_times(_record(small_scan(16)))
    assert tuple(without_times(_record(small_scan(16)))) == PROVENANCE_KEYS[: -len(TIMES)]


def test_the_record_of_a_training_is_a_file(tmp_path):
    record = _record(small_scan(16))
    path = write_provenance(tmp_path, record, {"nphotons": np.float32(2)})
    assert path == tmp_path / "provenance.json"
    assert json.loads(path.read_text()) == record | {"scales": {"nphotons": 2.0}}

"""What the workflow functions of both backends return is the table of `pinn_data.run.workflow_results`, cell
by cell, and keeps the laws that it states. A backend runs in a process of its own."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from pinn_data.files.npz import write_scan
from pinn_data.optics.forward_model import diffraction_amplitude, residual
from pinn_data.run import workflow_results
from pinn_data.run.results import SCALES
from pinn_data.run.run_record import PROVENANCE_KEYS
from pinn_data.run.workflow_results import RESULT_KEYS, STITCHED_KEYS
from pinn_data.scan.positions import Canvas
from pinn_data.testing import small_scan
from pinn_dispatch.registry import BACKENDS

pytestmark = pytest.mark.processes

_EPOCHS = 2

# One training with a validation and its image, one alone, and one image by the archive of the first.
_RUN = """
import json, sys
from pathlib import Path
import numpy as np
from pinn_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig
from pinn_data.testing import small_scan
from pinn_dispatch.dispatch import (
    load_inference_bundle_with_backend, run_cdi_example_with_backend, save_with_backend,
    train_cdi_model_with_backend,
)
from pinn_dispatch.registry import load_backend

backend, folder, scan_file, foreign = sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]
config = TrainingConfig(
    ModelConfig(n_filters_scale=1), nepochs=2, n_groups=12, backend=backend, output_dir=folder / "run",
    intensity_scale_trainable=False,
)
execution = PyTorchExecutionConfig(logger_backend="none", enable_checkpointing=False, learning_rate=0.002)
_, _, ran = run_cdi_example_with_backend(
    scan_file, small_scan(rows=3), config, M=None, do_stitching=True, torch_execution_config=execution
)
config.output_dir = folder / "alone"
alone = train_cdi_model_with_backend(small_scan(), None, config, execution)
inference = InferenceConfig(config.model, folder / "run", backend=backend)
_, _, again = load_backend(backend).reassemble_cdi_image(
    small_scan(rows=3), inference, M=None, execution_config=execution
)
saved = save_with_backend(alone, config, folder / "saved")
load_inference_bundle_with_backend(saved, config, torch_execution_config=execution)
assert foreign not in sys.modules, foreign
for title, table in {"ran": ran, "alone": alone, "again": again}.items():
    arrays = {key: value for key, value in table.items() if isinstance(value, np.ndarray)}
    np.savez(folder / f"{title}.npz", **arrays)
    models = {"models", "model_instance"}
    rest = {key: value for key, value in table.items() if key not in arrays.keys() | models}
    kinds = {key: type(value).__name__ for key, value in rest.items()}
    names = {} if table["models"] is None else {
        name: type(model).__module__ for name, model in table["models"].items()
    }
    if table["models"] is not None:
        assert table["model_instance"] is table["models"]["diffraction_to_obj"]
    rest["bundle_path"] = Path(table["bundle_path"]).as_posix()
    report = {"order": list(table), "values": rest, "kinds": kinds, "models": names}
    (folder / f"{title}.json").write_text(json.dumps(report, allow_nan=False))
"""


def _table():
    """Key to its cells in the documented table: type and unit."""
    lines = workflow_results.__doc__.splitlines()
    rulers = [number for number, line in enumerate(lines) if line.startswith("====")]
    columns = [match.span() for match in re.finditer("=+", lines[rulers[0]])]
    rows = [
        [line[start:stop].strip() for start, stop in columns]
        for line in lines[rulers[1] + 1 : rulers[2]]
        if line.startswith("``")
    ]
    return {key.strip("`"): (kind, unit) for key, kind, unit, _ in rows}


_TABLE = _table()
_PLAIN = {"text": "str", "int": "int", "float": "float", "mapping": "dict"}
_UNITS = {"", "1", "s", "rad", "pixel", "sqrt(photons)"}


def test_every_key_has_a_row_of_known_words_in_its_place():
    assert tuple(_TABLE) == RESULT_KEYS
    for kind, unit in _TABLE.values():
        assert unit in _UNITS, unit
        assert kind in {*_PLAIN, "path", "model", "Refined"} or re.fullmatch(r"\(.+\) [a-z]+\d*", kind), kind


@pytest.fixture(scope="module", params=sorted(BACKENDS))
def ran(request, tmp_path_factory):
    """Name of a backend, and by title what it returned."""
    backend, other = request.param, *(set(BACKENDS) - {request.param})
    if find_spec(BACKENDS[backend].framework) is None:
        pytest.skip(f"{BACKENDS[backend].title} is not installed")
    folder = tmp_path_factory.mktemp(backend)
    scan_file = write_scan(folder / "the_scan.npz", small_scan(), unit="counts")
    done = subprocess.run(
        [sys.executable, "-c", _RUN, backend, str(folder), str(scan_file), BACKENDS[other].framework],
        capture_output=True,
        text=True,
        cwd=tmp_path_factory.mktemp("cwd"),
    )
    assert done.returncode == 0, done.stderr
    found = {}
    for title in ("ran", "alone", "again"):
        found[title] = json.loads((folder / f"{title}.json").read_text())
        with np.load(folder / f"{title}.npz") as arrays:
            found[title]["arrays"] = dict(arrays)
    return backend, folder, found


def _sizes(arrays):
    """What the letters of the table stand for."""
    H, W = arrays["object"].shape
    return {"H": H, "W": W, "N": 64, "n": 9, "2": 2}


def _absent(title, key):
    always = RESULT_KEYS[:4]
    stitched = key in STITCHED_KEYS
    return key not in always and ((title == "alone" and stitched) or (title == "again" and not stitched))


@pytest.mark.parametrize("title", ["ran", "alone", "again"])
@pytest.mark.parametrize("key", RESULT_KEYS)
def test_a_value_is_what_its_row_says(ran, title, key):
    backend, _, found = ran
    table = found[title]
    assert table["order"] == list(RESULT_KEYS)
    kind, _ = _TABLE[key]
    if _absent(title, key):
        assert not table["models"] if key.startswith("model") else table["kinds"][key] == "NoneType"
    elif key in ("models", "model_instance"):
        package = {"pytorch": "pinn_torch", "tensorflow": "pinn_tf"}[backend]
        assert table["models"] == dict.fromkeys(["diffraction_to_obj", "autoencoder"], f"{package}.models")
    elif key == "refined":  # test_components of each backend asks for the solver
        assert table["kinds"][key] == "NoneType"
    elif kind == "path":
        assert table["kinds"][key].endswith("Path")
    elif kind in _PLAIN:
        assert table["kinds"][key] == _PLAIN[kind]
    elif kind.endswith(" int"):
        assert [type(number) for number in table["values"][key]] == [int, int]
    else:
        shape, dtype = re.fullmatch(r"\((.+)\) (\w+)", kind).groups()
        sizes, array = _sizes(table["arrays"]), table["arrays"][key]
        wanted = [sizes[letter] for letter in shape.split(", ") if letter != "..."]
        assert array.dtype == dtype and list(array.shape) == wanted


@pytest.mark.parametrize("title", ["ran", "again"])
def test_the_image_keeps_the_laws_of_its_units(ran, title):
    _, _, found = ran
    arrays, values = found[title]["arrays"], found[title]["values"]
    np.testing.assert_array_equal(arrays["amplitude"], np.abs(arrays["object"]))
    np.testing.assert_array_equal(arrays["phase"], np.angle(arrays["object"]))
    assert (arrays["object"][arrays["coverage"] == 0] == 0).all()
    scan = small_scan(rows=3)
    np.testing.assert_array_equal(arrays["positions"], scan.positions)
    canvas = Canvas(tuple(values["canvas_origin"]), arrays["object"].shape)
    predicted = diffraction_amplitude(arrays["object"], arrays["probe"], canvas.local(scan.positions))
    assert residual(predicted, scan.amplitude()) == pytest.approx(values["residual"], rel=1e-3)


def test_the_archive_of_the_training_makes_the_same_image_again(ran):
    _, _, found = ran
    for name, array in found["ran"]["arrays"].items():
        np.testing.assert_array_equal(array, found["again"]["arrays"][name])


def test_there_is_a_loss_for_each_epoch(ran):
    _, _, found = ran
    for title, validated in (("ran", True), ("alone", False)):
        values = found[title]["values"]
        losses = values["history"]
        assert list(losses) == ["train_loss", "val_loss"] and values["history_epochs"] == _EPOCHS
        assert len(losses["train_loss"]) == _EPOCHS and np.isfinite(losses["train_loss"]).all()
        assert len(losses["val_loss"]) == _EPOCHS if validated else losses["val_loss"] is None


def test_scales_are_measured_on_the_scans(ran):
    _, _, found = ran
    scans = {"training": small_scan(), "reconstruction": small_scan(rows=3)}
    for title, known in (("ran", scans), ("alone", ["training"]), ("again", ["reconstruction"])):
        scales = found[title]["values"]["scales"]
        assert list(scales) == list(scans)
        for run, scan in scans.items():
            if run not in known:
                assert scales[run] is None
                continue
            assert tuple(scales[run]) == SCALES
            photons = scan.counts().sum(axis=(1, 2), dtype=float).mean()
            assert scales[run]["nphotons"] == pytest.approx(photons)
            assert scales[run]["normalisation"] == pytest.approx(32 / np.sqrt(photons))
            # It was not trained, so it is where it started.
            assert scales[run]["intensity_scale"] == pytest.approx(np.sqrt(photons) / 32, rel=1e-6)
        if scales["training"]:
            learned = found[title]["values"]["intensity_scale"]
            assert scales["training"]["intensity_scale"] == pytest.approx(learned, rel=1e-6)


def test_the_provenance_is_complete(ran):
    backend, folder, found = ran
    package, frameworks = {
        "pytorch": ("pinn-torch", ["numpy", "torch", "lightning"]),
        "tensorflow": ("pinn-tf", ["numpy", "tensorflow", "keras"]),
    }[backend]
    records = {title: table["values"]["provenance"] for title, table in found.items()}
    for record in records.values():
        assert tuple(record) == PROVENANCE_KEYS
        ours = ["pinn-archive", "pinn-config", "pinn-data", "pinn-dispatch", package]
        assert sorted(record["packages"]) == sorted(ours) and list(record["frameworks"]) == frameworks
        assert all([*record["packages"].values(), *record["frameworks"].values()])
        assert record["seeds"] == {"seed": 0, "subsample_seed": None}
        assert record["configuration"]["model"]["n_filters_scale"] == 1
        assert str(folder) not in json.dumps(record)
        assert record["started"] <= record["finished"]
    runs = {
        title: [run for run in ("training", "inference") if record["configuration"][run] is not None]
        for title, record in records.items()
    }
    assert runs == {"ran": ["training", "inference"], "alone": ["training"], "again": ["inference"]}
    training = records["ran"]["configuration"]["training"]
    assert (training["backend"], training["nepochs"]) == (backend, _EPOCHS)
    assert training["execution"]["learning_rate"] == 0.002
    assert records["again"]["configuration"]["inference"]["backend"] == backend
    assert records["ran"]["configuration"]["inference"] == records["again"]["configuration"]["inference"]
    digest = hashlib.sha256((folder / "the_scan.npz").read_bytes()).hexdigest()
    told = {"name": "the_scan.npz", "sha256": digest, "of": "file", "frames": 12, "N": 64}
    assert records["ran"]["input"] == told
    assert records["ran"]["test_input"] == records["again"]["input"]
    assert records["ran"]["test_input"]["of"] == "arrays" and records["alone"]["test_input"] is None
    archive = hashlib.sha256((folder / "run" / "wts.h5.zip").read_bytes()).hexdigest()
    assert records["again"]["model"] == {"name": "wts.h5.zip", "sha256": archive}
    assert records["ran"]["model"] is None


def test_nothing_is_left_where_nobody_asked_for_it(ran):
    _, folder, _ = ran
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"run", "alone", "saved"}
    assert (folder / "saved" / "wts.h5.zip").is_file()

"""What the workflow functions of every backend share: the scans that they take, the results that they
return."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_data.errors import PinnDataError, RequestError
from pinn_data.files.npz import write_scan
from pinn_data.grouping.raw_data import RawData
from pinn_data.run.results import Reconstruction
from pinn_data.run.workflow_results import RESULT_KEYS, STITCHED_KEYS, stitching_results, training_results
from pinn_data.run.workflow_scans import check_window, given_scan, inference_config, turned, two_scans
from pinn_data.scan.positions import canvas_for, reoriented
from pinn_data.testing import small_scan


def test_a_scan_is_the_one_that_was_given_or_else_that_of_the_file(tmp_path):
    scan, other = small_scan(16), small_scan(16, rows=3)
    path = write_scan(tmp_path / "scan.npz", other, unit="counts")
    assert given_scan(scan, path, "train_data") is scan
    assert given_scan(RawData.from_scan(scan), None, "train_data") is scan
    assert len(given_scan(None, path, "test_data")) == len(other)
    for nothing in (None, Path()):
        with pytest.raises(
            RequestError, match=r"^there is no test_data: .* in the configuration \(test_data_file\)$"
        ):
            given_scan(None, nothing, "test_data")


def test_the_second_scan_may_be_missing_unless_it_is_stitched(tmp_path):
    scan, other = small_scan(16), small_scan(16, rows=3)
    path = write_scan(tmp_path / "scan.npz", other, unit="counts")
    bare, named = (TrainingConfig(ModelConfig(), Path(), file) for file in (Path(), path))
    assert two_scans(scan, None, bare) == (scan, None)
    assert two_scans(scan, other, bare, stitched=True, M=16) == (scan, other)
    assert len(two_scans(scan, None, named, stitched=True)[1]) == len(other)
    with pytest.raises(RequestError, match=r"^do_stitching=True was given without test_data"):
        two_scans(scan, None, bare, stitched=True)
    with pytest.raises(RequestError, match=r"^M=17 was given, but it must be 0 to N=16"):
        two_scans(scan, other, bare, stitched=True, M=17)


@pytest.mark.parametrize("M", [None, 0, 1, 16])
def test_a_window_that_fits(M):
    check_window(M, small_scan(16))


def test_only_positions_are_turned():
    scan = small_scan(16)
    assert turned(scan, flip_x=False, transpose=False) is scan
    found = turned(scan, flip_x=True, flip_y=False, transpose=True, scale=0.5)
    expected = reoriented(scan.positions, flip_x=True, transpose=True, scale=0.5)
    np.testing.assert_array_equal(found.positions, expected)
    np.testing.assert_array_equal(found.positions_start, expected)
    assert found.diffraction is scan.diffraction and found.object is scan.object


def test_a_reconstruction_after_a_training_takes_all_frames_grouped_as_for_it():
    config = TrainingConfig(
        ModelConfig(N=128, gridsize=2),
        n_groups=3,
        n_subsample=12,
        subsample_seed=4,
        neighbor_count=9,
        test_data_file="a.npz",
    )
    expected = InferenceConfig(config.model, neighbor_count=9, test_data_file=Path("a.npz"))
    found = inference_config(config)
    assert found.model is config.model
    assert (found.n_groups, found.n_subsample, found.neighbor_count) == (None, None, 9)
    assert found.test_data_file == expected.test_data_file


def _row(epoch, train, val=None):
    return {"epoch": epoch, "train_loss": train, "val_loss": val}


def test_the_results_of_a_training_have_one_loss_an_epoch():
    models = {"diffraction_to_obj": "a", "autoencoder": "b"}
    options = {"intensity_scale": 2.0, "parameters": 5, "seconds": 1.5, "epochs": 2}
    options |= {"scales": {"nphotons": 3.0}, "provenance": {"python": "3"}}
    rows = [_row(0, 4.0), _row(0, 2.0, 8.0), _row(1, 1.0), _row(2, 3.0, 9.0)]
    found = training_results("a backend", None, models, rows=rows, validated=True, **options)
    assert tuple(found) == RESULT_KEYS
    # A row that comes after the last epoch counts for it.
    assert found["history"] == {"train_loss": [3.0, 2.0], "val_loss": [8.0, 9.0]}
    assert (found["backend"], found["model_instance"], found["bundle_path"]) == ("a backend", "a", None)
    assert all(found[key] is None for key in STITCHED_KEYS)
    assert found["scales"] == {"training": {"nphotons": 3.0}, "reconstruction": None}
    assert found["provenance"] == {"python": "3"}
    alone = training_results("a", Path("b"), models, rows=rows, validated=False, **options)
    assert alone["history"]["val_loss"] is None and alone["bundle_path"] == Path("b")


def test_the_results_of_a_reconstruction_are_its_arrays():
    scan = small_scan(16)
    canvas = canvas_for(scan.positions, 16)
    image = np.full(canvas.shape, -2j, np.complex64)
    coverage = np.ones(canvas.shape, np.float32)
    seconds = {"network": 1.0, "stitching": 1.0, "total": 2.5}
    found = stitching_results(
        "a backend",
        Path("b"),
        Reconstruction(image, coverage, canvas, scan.positions, 0.25, scan.probe, seconds, 2),
    )
    assert tuple(found) == RESULT_KEYS and found["history"] is None and found["models"] is None
    assert found["object"] is image and found["probe"] is scan.probe
    assert (found["residual"], found["gridsize"], found["reconstruction_seconds"]) == (0.25, 2, 2.5)
    assert found["canvas_origin"] == canvas.origin
    np.testing.assert_allclose(found["amplitude"] * np.exp(1j * found["phase"]), image, rtol=1e-6)
    assert found["amplitude"].dtype == found["phase"].dtype == np.float32


def test_what_cannot_be_done_is_caught_with_all_else_that_is_wrong_with_data():
    assert issubclass(RequestError, PinnDataError)

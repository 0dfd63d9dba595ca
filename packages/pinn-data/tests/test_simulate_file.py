"""A scan simulated from a file's object and probe is what the configuration asks for."""

from __future__ import annotations

import numpy as np
import pytest
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_data.errors import (
    DataFileNotFoundError,
    DataKeyError,
    DataRangeError,
    PinnDataError,
    PositionError,
    ShapeError,
)
from pinn_data.optics.forward_model import diffraction_intensity
from pinn_data.optics.patches import extract
from pinn_data.simulation.simulate_file import simulate_from_npz
from pinn_data.testing import small_scan, two_modes


def _file(folder, probe=None, shape=None):
    scan = small_scan()
    image = scan.object if shape is None else np.ones(shape, np.complex64)
    path = folder / "o.npz"
    np.savez(
        path, objectGuess=np.pad(image, 40, mode="reflect"), probeGuess=scan.probe if probe is None else probe
    )
    return path


def _config(**settings):
    return TrainingConfig(ModelConfig(N=64), **{"nphotons": 2e4, "n_groups": 40} | settings)


@pytest.mark.parametrize("modes", [1, 2])
def test_patterns_are_counts_of_the_objects_own_patches(tmp_path, modes):
    path = _file(tmp_path, None if modes == 1 else two_modes(64))
    raw, Y = simulate_from_npz(_config(), path)
    assert len(raw) == 40 and raw.scan.unit == "counts" and raw.scan.nphotons == pytest.approx(2e4, rel=0.02)
    assert Y.shape == (40, 64, 64, 1) and Y.dtype == np.complex64
    with np.load(path) as file:
        np.testing.assert_array_equal(raw.objectGuess, file["objectGuess"])
        np.testing.assert_allclose(Y[..., 0], extract(file["objectGuess"], raw.scan.positions, 64), rtol=1e-6)
    intensity = diffraction_intensity(raw.objectGuess, raw.probeGuess, raw.scan.positions)
    z = (raw.diff3d - intensity) / np.sqrt(np.maximum(intensity, 1))
    assert abs(z.mean()) < 0.01 and z[intensity > 5].std() == pytest.approx(1, abs=0.03)
    np.testing.assert_array_equal(raw.generate_grouped_data(64, nsamples=40, gridsize=1)["Y"], Y)


def test_background_and_bad_pixels_of_the_file_are_those_of_the_scan(tmp_path):
    bad, background = np.eye(64, dtype=bool), np.arange(4096.0).reshape(64, 64) / 1e3
    with np.load(_file(tmp_path)) as file:
        entries = dict(file)
    np.savez(tmp_path / "m.npz", **entries, bad_pixels=bad, background=background)
    scan = simulate_from_npz(_config(), tmp_path / "m.npz", return_patches=False).scan
    np.testing.assert_array_equal(scan.bad_pixels, bad)
    np.testing.assert_array_equal(scan.background, background)
    np.savez(tmp_path / "n.npz", **entries, bad_pixels=np.broadcast_to(bad, (7, 64, 64)))
    assert simulate_from_npz(_config(), tmp_path / "n.npz", return_patches=False).scan.bad_pixels is None


def test_positions_keep_the_buffer_and_follow_the_seed(tmp_path):
    path = _file(tmp_path)
    raw = simulate_from_npz(_config(n_groups=400), path, return_patches=False)
    H, W = raw.objectGuess.shape
    free = 0.35 * min(H, W)
    for p, size in zip(raw.scan.positions.T, (H, W), strict=True):
        assert free <= p.min() < free + 3 and size - 1 - free - 3 < p.max() <= size - 1 - free
    wide = simulate_from_npz(_config(n_groups=400), path, buffer=0, return_patches=False)
    assert wide.scan.positions.min() >= 32 and wide.scan.positions.min() < 34
    narrow = simulate_from_npz(_config(), path, buffer=70, return_patches=False)
    assert narrow.scan.positions.min() >= 70
    again = simulate_from_npz(_config(n_groups=400), path, return_patches=False)
    assert again.scan.equals(raw.scan)
    assert not simulate_from_npz(_config(n_groups=400), path, return_patches=False, seed=1).scan.equals(
        raw.scan
    )


def test_an_inference_configuration_without_a_number_draws_512(tmp_path):
    raw = simulate_from_npz(InferenceConfig(ModelConfig(N=64)), _file(tmp_path), return_patches=False)
    assert len(raw) == 512 and raw.scan.nphotons == pytest.approx(1e9, rel=0.03)


def test_what_cannot_be_simulated_is_refused(tmp_path):
    path = _file(tmp_path)
    with pytest.raises(ShapeError, match=r"o\.npz: objectGuess .*set N to the probe's size"):
        simulate_from_npz(TrainingConfig(ModelConfig(N=128)), path)
    with pytest.raises(PositionError, match=r"leaves no room .* 100 pixels .*smaller buffer"):
        simulate_from_npz(_config(), path, buffer=100)
    with pytest.raises(DataFileNotFoundError):
        simulate_from_npz(_config(), tmp_path / "none.npz")
    np.savez(tmp_path / "p.npz", probeGuess=np.ones((64, 64)))
    with pytest.raises(DataKeyError, match="objectGuess"):
        simulate_from_npz(_config(), tmp_path / "p.npz")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of what overflows
@pytest.mark.parametrize("value", [1e30, 1e300, np.nan, np.inf])
@pytest.mark.parametrize("key", ["objectGuess", "probeGuess"])
def test_numbers_of_which_no_pattern_can_be_counted_are_refused(tmp_path, key, value):
    path = _file(tmp_path)
    with np.load(path) as file:
        arrays = {name: array.astype(np.complex128) for name, array in file.items()}
    arrays[key][arrays[key].shape[0] // 2, 30:] = value
    np.savez(path, **arrays)
    with pytest.raises(PinnDataError) as caught:
        simulate_from_npz(_config(nphotons=1e12), path)
    assert "\n" not in str(caught.value)


def test_what_is_no_number_is_refused(tmp_path):
    path = _file(tmp_path, probe=np.full((64, 64), "bright"))
    with pytest.raises(DataRangeError, match="probeGuess has dtype <U6"):
        simulate_from_npz(_config(), path)

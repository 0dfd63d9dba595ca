"""What a workflow writes can be looked at and read back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from pinn_data.run.outputs import save_outputs


def _results():
    rng = np.random.default_rng(0)
    image = (rng.normal(size=(40, 30)) + 1j * rng.normal(size=(40, 30))).astype(np.complex64)
    coverage = np.ones((40, 30), np.float32)
    coverage[:5] = 0
    return {
        "backend": "pytorch",
        "object": image,
        "coverage": coverage,
        "canvas_origin": (-3, 7),
        "positions": rng.uniform(0, 30, (9, 2)),
        "probe": np.ones((8, 8), np.complex64),
        "residual": 0.25,
        "gridsize": 2,
    }


def test_pictures_and_arrays_are_written(tmp_path):
    results = _results()
    amplitude, phase = np.abs(results["object"]), np.angle(results["object"])
    written = save_outputs(amplitude, phase, results, tmp_path / "a" / "b")
    folder = tmp_path / "a" / "b"
    names = ["reconstructed_amplitude.png", "reconstructed_phase.png", "reconstruction.npz"]
    assert written == [folder / name for name in names]
    assert sorted(p.name for p in folder.iterdir()) == sorted(names)
    for name in names[:2]:
        with Image.open(folder / name) as picture:
            assert picture.size[0] >= 30 and picture.size[1] >= 40
    with np.load(folder / "reconstruction.npz") as file:
        np.testing.assert_array_equal(file["amplitude"], amplitude)
        np.testing.assert_array_equal(file["phase"], phase)
        np.testing.assert_array_equal(file["object"], results["object"])
        np.testing.assert_array_equal(file["canvas_origin"], [-3, 7])
        np.testing.assert_array_equal(np.stack([file["ycoords"], file["xcoords"]], 1), results["positions"])
        assert json.loads(str(file["metadata"])) == {"backend": "pytorch", "gridsize": 2, "residual": 0.25}


def test_the_amplitude_is_grey_and_the_phase_is_coloured(tmp_path):
    ramp = np.tile(np.linspace(0, 1, 300), (300, 1))
    save_outputs(ramp[..., None], ramp[..., None], {}, str(tmp_path))
    with Image.open(tmp_path / "reconstructed_amplitude.png") as picture:
        shades = np.asarray(picture.convert("RGB"), int)[:, :300]
        assert (np.ptp(shades, axis=2) == 0).all() and np.ptp(shades) > 200
    with Image.open(tmp_path / "reconstructed_phase.png") as picture:
        colours = np.asarray(picture.convert("RGB"), int)[:, :300]
        assert (np.ptp(colours, axis=2) > 40).mean() > 0.9
    with np.load(tmp_path / "reconstruction.npz") as file:
        assert set(file) == {"amplitude", "phase"} and file["phase"].shape == (300, 300)


@pytest.mark.parametrize(("amplitude", "phase"), [(None, None), (np.ones((3, 3)), None)])
def test_without_an_image_only_the_folder_is_made(tmp_path, amplitude, phase):
    assert save_outputs(amplitude, phase, {"history": {}}, tmp_path / "out") == []
    assert list((tmp_path / "out").iterdir()) == []

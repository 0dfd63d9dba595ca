"""Labels are the object under each pattern, not mirrored, in the unit that explains what was measured."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from pinn_config.configs import ModelConfig
from pinn_data.forward_model import diffraction_intensity
from pinn_data.probe import probe_modes
from pinn_torch.datamodule import PatternStack
from pinn_torch.errors import TorchRunError
from pinn_torch.labels import ObjectLabels
from pinn_torch.module import BACKGROUND, normalised_probe
from torch_scans import noise_free, small_scan

ROWS = np.array([[0, 1, 3, 4, 6], [11, 2, 5, 8, 7]])


def _cut(scan, rows):
    corners = np.floor(scan.positions).astype(int) - scan.N // 2
    cuts = [scan.object[r : r + scan.N, c : c + scan.N] for r, c in corners[rows.ravel()]]
    return np.stack(cuts).reshape(*rows.shape, scan.N, scan.N)


def test_a_label_is_the_patch_at_the_floor_of_its_position():
    scan = small_scan()
    labels = ObjectLabels(scan, "it")
    patches = labels.patches(ROWS)
    assert patches.dtype == np.complex64
    np.testing.assert_allclose(patches, labels.scale * _cut(scan, ROWS), rtol=1e-5)
    batch = PatternStack(scan, labels).batch(ROWS)
    assert np.array_equal(batch["labels"].numpy(), patches)
    assert "labels" not in PatternStack(scan).batch(ROWS)


@pytest.mark.parametrize("modes", [1, 2])
@pytest.mark.parametrize("sigma", [0.0, 0.8])
@pytest.mark.parametrize("probe_scale", [4.0, 1.5])
def test_labels_with_the_networks_probe_predict_the_networks_amplitudes(modes, sigma, probe_scale):
    """Whatever scale the file's probe and object have."""
    scan = noise_free(small_scan(modes=modes), smoothing_sigma=sigma)
    other = attrs.evolve(scan, probe=7 * scan.probe, object=0.01j * scan.object)
    model = ModelConfig(N=64, probe_scale=probe_scale)
    results = []
    for s in (scan, other):
        labels = ObjectLabels(s, "it", sigma)
        o = _cut(s, np.arange(12)[:, None])[:, 0] * labels.scale * BACKGROUND * probe_scale / 4
        probe = normalised_probe(torch.from_numpy(probe_modes(s.probe)), 64, model.probe_scale).numpy()
        amplitude = PatternStack(s).batch(np.arange(12)[:, None])["amplitude"][:, 0].numpy()
        centre = np.full((1, 2), 32.0)
        for i in (0, 5, 11):
            fraction = s.positions[i] % 1
            wide = np.pad(o[i], ((0, 1), (0, 1)))
            predicted = diffraction_intensity(wide, probe, centre + fraction, smoothing_sigma=sigma)[0]
            np.testing.assert_allclose(np.sqrt(predicted), amplitude[i], atol=2e-3 * amplitude[i].max())
        results.append(labels.patches(ROWS))
    np.testing.assert_allclose(np.abs(results[1]), np.abs(results[0]), rtol=1e-4)


def test_an_empty_object_is_one():
    scan = noise_free(attrs.evolve(small_scan(), object=np.full_like(small_scan().object, 0.3j)))
    patches = ObjectLabels(scan, "it").patches(ROWS)
    np.testing.assert_allclose(patches, 1j, rtol=1e-4)


def test_a_scan_without_an_object_is_refused_in_one_sentence():
    scan = attrs.evolve(small_scan(), object=None)
    with pytest.raises(TorchRunError, match=r"it learns from the object .* the scan has none: add") as e:
        ObjectLabels(scan, "it")
    assert "\n" not in str(e.value)
    with pytest.raises(TorchRunError, match=r"train.npz has none"):
        ObjectLabels(attrs.evolve(scan, source=Path("/data/train.npz")), "it")


def test_an_object_that_is_too_small_or_dark_is_refused():
    scan = small_scan()
    with pytest.raises(ValueError, match="reach outside the object"):
        ObjectLabels(attrs.evolve(scan, object=scan.object[:70]), "it")
    with pytest.raises(TorchRunError, match="zero wherever the probe shines"):
        ObjectLabels(attrs.evolve(scan, object=np.zeros_like(scan.object)), "it")

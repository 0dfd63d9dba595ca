"""Labels of a scan, in the network's units, explain what was measured."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from pinn_config.configs import ModelConfig
from pinn_data.grouping.labels import ObjectLabels
from pinn_data.optics.forward_model import diffraction_intensity
from pinn_data.optics.patches import extract
from pinn_data.optics.probe import normalised_probe, probe_modes
from pinn_torch.model.module import BACKGROUND
from pinn_torch.training.datamodule import PatternStack
from torch_scans import noise_free, small_scan

ROWS = np.array([[0, 1, 3, 4, 6], [11, 2, 5, 8, 7]])


def test_a_batch_has_labels_where_they_are_asked_for():
    scan = small_scan()
    labels = ObjectLabels(scan, "it")
    batch = PatternStack(scan, labels).batch(ROWS)
    assert np.array_equal(batch["labels"].numpy(), labels.patches(ROWS))
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
        o = extract(s.object, np.floor(s.positions), 64) * labels.scale * BACKGROUND * probe_scale / 4
        probe = normalised_probe(probe_modes(s.probe), 64, model.probe_scale)
        amplitude = PatternStack(s).batch(np.arange(12)[:, None])["amplitude"][:, 0].numpy()
        centre = np.full((1, 2), 32.0)
        for i in (0, 5, 11):
            fraction = s.positions[i] % 1
            wide = np.pad(o[i], ((0, 1), (0, 1)))
            predicted = diffraction_intensity(wide, probe, centre + fraction, smoothing_sigma=sigma)[0]
            np.testing.assert_allclose(np.sqrt(predicted), amplitude[i], atol=2e-3 * amplitude[i].max())
        results.append(labels.patches(ROWS))
    np.testing.assert_allclose(np.abs(results[1]), np.abs(results[0]), rtol=1e-4)

"""The Lightning module: probe, intensity scale, mask, and a loss that is a number of photons."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pinn_config.configs import ModelConfig
from pinn_config.objective import Objective
from pinn_data.errors import ShapeError
from pinn_data.optics.forward_model import diffraction_intensity, poisson_nll
from pinn_data.optics.probe import probe_modes
from pinn_torch.errors import RunError
from pinn_torch.model.module import PtychoPINN_Lightning
from pinn_torch.training.datamodule import PatternStack
from torch_scans import small_scan


def _module(scan, *, gridsize=1, model=None, **settings):
    torch.manual_seed(0)
    config = ModelConfig(
        N=scan.N, gridsize=gridsize, architecture="unrolled", n_filters_scale=1, **(model or {})
    )
    probe = torch.from_numpy(probe_modes(scan.probe))
    return PtychoPINN_Lightning(config, probe, PatternStack(scan).intensity_scale, **settings)


# Frames 0, 1, 3, 4 are seen, 6 is predicted; 64 + 14 pixels hold them all.
_ROWS, _CANVAS = np.array([[0, 1, 3, 4, 6]]), 80


@pytest.mark.parametrize("modes", [1, 2])
@pytest.mark.parametrize("moved", [0.0, 0.3])
def test_the_loss_is_the_likelihood_of_the_measured_counts(modes, moved):
    """Also once the intensity scale has moved: it multiplies what is predicted, never what was counted."""
    scan = small_scan(modes=modes)
    module = _module(scan, gridsize=2)
    with torch.no_grad():
        module.log_intensity_scale += moved
        stack = PatternStack(scan)
        batch = stack.batch(_ROWS)
        terms = module.loss(batch, _CANVAS)
        canvas = module(batch, _CANVAS)[0][0].numpy()
        corner = module.corners(batch)[1][0].numpy()
    object = canvas * np.exp(moved) * stack.intensity_scale
    probe = module.probe.detach().numpy()

    def nll(frames):
        rate = diffraction_intensity(object, probe, scan.positions[frames] - corner)
        return poisson_nll(rate, scan.counts()[frames])

    assert terms["nll"].item() == pytest.approx(nll([0, 1, 3, 4]), rel=1e-3)
    both = nll([0, 1, 3, 4]) + nll([6])
    assert terms["loss"].item() == pytest.approx(both, rel=1e-3)


def test_the_weights_of_the_losses_weigh_them():
    scan = small_scan()
    batch = PatternStack(scan).batch(np.array([[0]]))
    with torch.no_grad():
        one, other, both = (
            _module(scan, objective=Objective(nll_weight=n, mae_weight=m)).loss(batch, 64)["loss"].item()
            for n, m in ((1.0, 0.0), (0.0, 1.0), (2.0, 3.0))
        )
    assert both == pytest.approx(2 * one + 3 * other, rel=1e-5)


@pytest.mark.parametrize(("N", "pixels"), [(64, 812), (128, 3228)])
def test_the_probe_mask_is_the_disk_of_the_specification(N, pixels):
    """Figures of the public implementation: radius N/4 on the half-pixel grid."""
    model = ModelConfig(N=N, architecture="unrolled", n_filters_scale=1, probe_mask=True)
    probe = PtychoPINN_Lightning(model, torch.ones((1, N, N), dtype=torch.complex64), 1.0).probe
    lit = probe[0].abs() > 0
    assert int(lit.sum()) == pixels
    assert torch.equal(lit, lit.flip(0)) and torch.equal(lit, lit.T)


@pytest.mark.parametrize("gridsize", [1, 2])
def test_corners_are_counted_from_the_canvas_that_holds_all_patterns(gridsize):
    scan = small_scan()
    rows = np.array([[4, 0, 7, 11, 2], [10, 5, 8, 4, 7]])  # which begin at different corners
    batch = PatternStack(scan).batch(rows)
    corners, canvas = _module(scan, gridsize=gridsize).corners(batch)
    absolute = np.floor(scan.positions[rows]).astype(int) - 32
    assert np.array_equal((corners + canvas[:, None]).numpy(), absolute)
    assert corners.amin(1).tolist() == [[0, 0], [0, 0]]  # of each group, along each axis


def test_a_probe_of_another_shape_is_refused():
    for shape in [(64, 64), (1, 64, 32), (2, 128, 128)]:
        with pytest.raises(ShapeError, match=r"the probe has shape .* but \(modes, 64, 64\) is needed: "):
            PtychoPINN_Lightning(ModelConfig(N=64), torch.ones(shape, dtype=torch.complex64), 1.0)


def test_a_loss_without_weights_is_refused():
    with pytest.raises(RunError, match="nothing would be learned"):
        _module(small_scan(), objective=Objective(nll_weight=0.0))

"""The optics of a group against the NumPy oracle `pinn_data.optics.forward_model`, and the laws of its
gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.optics import probe as oracle_probe
from pinn_data.optics.forward_model import diffraction_intensity
from pinn_data.scan.positions import split_subpixel
from pinn_data.testing import complex_objects, complex_probes, scan_positions
from pinn_torch.optics.physics import GroupOptics, fourier_shift
from torch_scans import scene

SEEDS = st.integers(0, 2**32 - 1)
SIGMAS = st.sampled_from([0.0, 0.4, 1.5])
N, SHAPE = 16, (41, 47)
# Two groups look at two windows of the object, so that their canvases have different origins.
ORIGINS = np.array([[0, 6], [0, 0]])
CANVAS = 41


def _optics(probe, positions, dtype=torch.float32, sigma=0.0):
    """Optics of the same positions, counted from each origin, on a canvas of 41 x 41; and those positions."""
    complex_dtype = torch.complex64 if dtype == torch.float32 else torch.complex128
    absolute = positions[None] + ORIGINS[:, None]
    whole, fraction = split_subpixel(absolute.reshape(-1, 2))
    corners = torch.from_numpy(whole.reshape(absolute.shape) - N // 2 - ORIGINS[:, None])
    fractions = torch.from_numpy(fraction.reshape(absolute.shape)).to(dtype)
    probes = fourier_shift(torch.from_numpy(oracle_probe.probe_modes(probe)).to(complex_dtype), fractions)
    blank = torch.zeros((*absolute.shape[:2], N, N), dtype=dtype)
    return GroupOptics(blank, probes, corners, CANVAS, 0.7, sigma), absolute


def _canvases(obj, dtype=torch.complex64):
    return torch.from_numpy(np.stack([obj[y : y + CANVAS, x : x + CANVAS] for y, x in ORIGINS])).to(dtype)


@pytest.mark.parametrize("modes", [None, 1, 2])
@given(data=st.data())
def test_intensity_equals_the_numpy_oracle(modes, data):
    obj = data.draw(complex_objects(SHAPE))
    probe = data.draw(complex_probes(N, modes))
    positions = data.draw(scan_positions((CANVAS, CANVAS), N, max_size=5))
    sigma = data.draw(SIGMAS)
    optics, absolute = _optics(probe, positions, sigma=sigma)
    predicted = optics.intensity(_canvases(obj)).numpy()
    for group in range(len(ORIGINS)):
        expected = diffraction_intensity(obj, probe, absolute[group], smoothing_sigma=sigma)
        np.testing.assert_allclose(predicted[group], expected, rtol=1e-4, atol=1e-4 * expected.max())


@given(
    complex_probes(N, 2),
    st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=1, max_size=4),
)
def test_fourier_shift_equals_the_numpy_oracle(probe, shifts):
    ours = fourier_shift(torch.from_numpy(probe), torch.tensor(shifts, dtype=torch.float64)).numpy()
    expected = oracle_probe.shifted_probes(probe, np.array(shifts))
    np.testing.assert_allclose(ours, expected, atol=1e-11 * np.abs(probe).max())


def test_a_positive_shift_moves_content_toward_larger_indices():
    probe = torch.zeros((1, 8, 8), dtype=torch.complex64)
    probe[0, 3, 5] = 1j
    moved = fourier_shift(probe, torch.tensor([2.0, -1.0]))
    assert torch.allclose(moved, torch.roll(probe, (2, -1), (1, 2)), atol=1e-6)


@given(complex_objects(SHAPE), complex_probes(N, 2), scan_positions((CANVAS, CANVAS), N, max_size=4))
def test_parseval(obj, probe, positions):
    optics, _ = _optics(probe, positions, torch.float64)
    predicted = optics.intensity(_canvases(obj, torch.complex128)).sum((-2, -1)).numpy()
    waves = optics.probes * optics.patches(_canvases(obj, torch.complex128))[:, :, None]
    np.testing.assert_allclose(predicted, (waves.abs() ** 2).sum((-3, -2, -1)).numpy(), rtol=1e-10)


@given(complex_objects(SHAPE), complex_probes(N, 2), st.floats(0, 6.28), st.floats(0.1, 5))
def test_a_global_phase_changes_nothing_and_a_scale_goes_squared(obj, probe, phase, scale):
    optics, _ = _optics(probe, np.array([[9.25, 12.5], [20.0, 11.75]]), torch.float64)
    canvas = _canvases(obj, torch.complex128)
    changed = optics.intensity(canvas * scale * np.exp(1j * phase))
    torch.testing.assert_close(changed, scale**2 * optics.intensity(canvas), rtol=1e-9, atol=1e-9)


@given(complex_objects((41, 41)), complex_probes(N, 2))
def test_transposing_object_probe_and_positions_transposes_the_patterns(obj, probe):
    positions = np.array([[9.25, 12.5], [20.0, 11.75]])
    here, _ = _optics(probe, positions, torch.float64)
    there, _ = _optics(probe.swapaxes(-1, -2), positions[:, ::-1], torch.float64)
    canvas = torch.from_numpy(np.stack([obj, obj]))
    torch.testing.assert_close(there.intensity(canvas.mT), here.intensity(canvas).mT, rtol=1e-9, atol=1e-9)


@given(SEEDS, SIGMAS)
def test_gradient_step_vanishes_on_the_truth(seed, sigma):
    s = scene(seed, dtype=torch.float64, sigma=sigma)
    empty = torch.full_like(s.canvas, s.optics.background)
    on_truth, on_empty = (s.optics.gradient_step(c, 0.05).abs().max() for c in (s.canvas, empty))
    # Not exactly zero: a floor under the predicted amplitude keeps the step differentiable.
    assert on_truth < 2e-3 * on_empty


def _misfit(s, canvas, floor):
    predicted = torch.sqrt(s.optics.intensity(canvas) + floor**2)
    return ((predicted - s.amplitude) ** 2).sum()


@given(SEEDS, SIGMAS)
def test_gradient_step_is_the_preconditioned_negative_gradient(seed, sigma):
    s = scene(seed, dtype=torch.float64, sigma=sigma)
    canvas = torch.full_like(s.canvas, s.optics.background + 0.1j).requires_grad_()
    (gradient,) = torch.autograd.grad(_misfit(s, canvas, 1e-3), canvas)
    peak = (s.probes.abs() ** 2).sum(-3).amax((-3, -2, -1))[:, None, None]
    # torch's gradient of a real number by z is twice the derivative by conj(z).
    expected = -gradient / (2 * peak * (s.optics.coverage + 0.05))
    torch.testing.assert_close(s.optics.gradient_step(canvas.detach(), 0.05), expected, rtol=1e-9, atol=1e-12)


@given(SEEDS)
def test_a_small_gradient_step_lowers_the_misfit(seed):
    s = scene(seed, dtype=torch.float64)
    canvas = torch.full_like(s.canvas, s.optics.background)
    step = s.optics.gradient_step(canvas, 0.05)
    assert _misfit(s, canvas + 0.2 * step, 0.0) < _misfit(s, canvas, 0.0)


@given(SEEDS)
def test_the_gradient_of_each_group_is_its_own(seed):
    s = scene(seed, groups=3, dtype=torch.float64)
    canvas = torch.full_like(s.canvas, s.optics.background)
    together = s.optics.gradient_step(canvas, 0.05)
    for g in range(3):
        alone = s.of([g]).gradient_step(canvas[[g]], 0.05)
        torch.testing.assert_close(together[[g]], alone, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("sigma", [0.0, 0.7])
def test_gradcheck_of_the_whole_physics(sigma):
    s = scene(5, groups=1, patterns=2, modes=2, size=4, canvas=6, dtype=torch.float64)

    def physics(canvas, probes):
        optics = GroupOptics(s.amplitude, probes, s.corners, 6, s.optics.background, sigma)
        return (
            optics.intensity(canvas),
            optics.gradient_step(canvas, 0.05),
            optics.canvas_estimate(0.05),
            optics.patch_estimate(0.05),
            optics.merge(optics.patches(canvas), 1e-3),
            optics.coverage,
        )

    inputs = (s.canvas.clone().requires_grad_(), s.probes.clone().requires_grad_())
    assert torch.autograd.gradcheck(physics, inputs)


def test_gradcheck_of_the_shift_by_probe_and_position():
    probe = torch.randn((2, 4, 4), dtype=torch.complex128, requires_grad=True)
    shift = torch.tensor([[0.3, 0.8]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(fourier_shift, (probe, shift))


@pytest.mark.parametrize("modes", [1, 2])
@pytest.mark.parametrize("sigma", [0.0, 0.7])
def test_both_estimates_of_an_empty_object_are_the_empty_object(modes, sigma):
    s = scene(2, modes=modes, dtype=torch.float64, sigma=sigma)
    empty = torch.full_like(s.canvas, s.optics.background)
    amplitude = s.optics.intensity(empty).sqrt()
    optics = GroupOptics(amplitude, s.probes, s.corners, s.canvas.shape[-1], s.optics.background, sigma)
    for estimate in (optics.canvas_estimate(0.05), optics.patch_estimate(0.05)):
        torch.testing.assert_close(
            estimate, torch.full_like(estimate, s.optics.background), rtol=2e-3, atol=2e-3
        )


@given(SEEDS)
def test_merging_the_patches_of_a_canvas_gives_it_back_where_the_probe_shone(seed):
    s = scene(seed, dtype=torch.float64)
    merged = s.optics.merge(s.optics.patches(s.canvas), floor=1e-12)
    lit = s.optics.coverage > 1e-4
    assert lit.any()
    torch.testing.assert_close(merged[lit], s.canvas[lit], rtol=1e-6, atol=1e-6)
    dark = s.optics.coverage == 0
    assert torch.allclose(merged[dark].real, torch.tensor(s.optics.background, dtype=torch.float64))


@given(SEEDS, st.sampled_from([0.0, 0.7]))
def test_an_estimate_is_one_step_from_an_empty_object(seed, sigma):
    s = scene(seed, dtype=torch.float64, sigma=sigma)
    empty = torch.full_like(s.canvas, s.optics.background)
    stepped = empty + s.optics.gradient_step(empty, 0.05)
    torch.testing.assert_close(s.optics.canvas_estimate(0.05), stepped, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("modes", [1, 2])
@pytest.mark.parametrize("sigma", [0.0, 0.7])
@pytest.mark.parametrize("known", [False, True])
def test_the_written_out_derivative_of_a_step_is_that_of_autograd(modes, sigma, known):
    """With a probe that is not trained a step has a derivative of its own: same value, same way back.

    known : whether there are bad pixels and stray light
    """
    generator = torch.Generator().manual_seed(modes)

    def draw(*shape):
        return torch.randn(*shape, dtype=torch.complex128, generator=generator)

    probes, canvas, weight = draw(2, 3, modes, 8, 8), draw(2, 12, 12), draw(2, 12, 12)
    corners = torch.randint(0, 5, (2, 3, 2), generator=generator)
    amplitude = torch.rand(2, 3, 8, 8, dtype=torch.float64, generator=generator)
    results = []
    measured = (torch.rand(2, 3, 8, 8, generator=generator) > 0.2).double()
    stray = torch.rand(1, 1, 8, 8, dtype=torch.float64, generator=generator)
    for trained in (False, True):
        here = canvas.clone().requires_grad_()
        optics = GroupOptics(
            amplitude,
            probes.clone().requires_grad_(trained),
            corners,
            12,
            0.7,
            sigma,
            measured=measured if known else None,
            stray=stray if known else None,
        )
        step = optics.gradient_step(here, 0.05)
        (step * weight).sum().abs().backward()
        results.append((step.detach(), here.grad))
    for own, autograd in zip(*results, strict=True):
        torch.testing.assert_close(own, autograd, rtol=1e-9, atol=1e-12)


@given(SEEDS)
def test_a_step_with_bad_pixels_and_stray_light_is_the_gradient_over_what_was_measured(seed):
    s = scene(seed, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.rand(shape, dtype=torch.float64, generator=generator)

    measured = (draw(*s.amplitude.shape) > 0.2).double()
    stray = draw(1, 1, *s.amplitude.shape[-2:])
    junk = torch.where(measured > 0, s.amplitude, 7 * draw(*s.amplitude.shape))
    canvas = torch.full_like(s.canvas, s.optics.background + 0.1j).requires_grad_()
    known = {"measured": measured, "stray": stray}
    step, of_junk = (
        GroupOptics(a, s.probes, s.corners, 24, s.optics.background, **known).gradient_step(
            canvas.detach(), 0.05
        )
        for a in (s.amplitude, junk)
    )
    assert torch.equal(step, of_junk)
    predicted = torch.sqrt(s.optics.intensity(canvas) + stray + 1e-6)
    (gradient,) = torch.autograd.grad((measured * (predicted - s.amplitude) ** 2).sum(), canvas)
    peak = (s.probes.abs() ** 2).sum(-3).amax((-3, -2, -1))[:, None, None]
    expected = -gradient / (2 * peak * (s.optics.coverage + 0.05))
    torch.testing.assert_close(step, expected, rtol=1e-9, atol=1e-12)

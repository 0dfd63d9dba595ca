"""Laws of a sweep: the solver's model is the NumPy oracle's, and its sums are derivatives of that model."""

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pinn_data.optics.forward_model import diffraction_intensity
from pinn_data.scan.scan import Scan
from pinn_data.solver.estimate import Estimate, cut_spectrum, put_spectrum, resample_object
from pinn_data.solver.frames import Frames
from pinn_data.solver.operations import NumpyOperations
from pinn_data.solver.steps.sweep import noise_variance, sweep
from pinn_data.testing import bad_pixels, complex_objects, complex_probes, scan_positions
from scipy import fft, stats

SHAPE, N = (23, 27), 8
OPS = NumpyOperations(double=True)
_FLOOR = 0.3


@attrs.frozen(eq=False)
class Case:
    """A scan of counts, an estimate that does not explain it, and what the oracle needs."""

    scan: Scan
    object: np.ndarray
    probe: np.ndarray
    background: np.ndarray
    intensity: np.ndarray

    @property
    def frames(self):
        return Frames(OPS, self.scan.diffraction, self.scan.unit, self.scan.bad_pixels, size=N, modes=2)

    @property
    def good(self):
        """(n, N, N), zero frequency in the middle."""
        bad = np.zeros((N, N), bool) if self.scan.bad_pixels is None else self.scan.bad_pixels
        return np.broadcast_to(~bad, self.scan.diffraction.shape)

    @property
    def amplitude(self):
        """(n, N, N) as the solver reads them, which is what it is held against."""
        return fft.fftshift(self.frames.host_block(np.arange(len(self.scan)))[0], axes=(-2, -1))

    @property
    def estimate(self):
        everywhere = self.frames.measured_everywhere()
        return Estimate(
            OPS.asarray(self.object),
            fft.fft2(self.probe, norm="ortho"),
            self.scan.positions,
            1.0,
            (0, 0),
            background=fft.ifftshift(self.background),
            intensity=self.intensity,
            measured=None if everywhere is None else OPS.asarray(everywhere),
        )

    def rate(self, **changed):
        """Expected counts (n, N, N) by the oracle."""
        parts = {"object": self.object, "probe": self.probe, "positions": self.scan.positions} | changed
        light = diffraction_intensity(parts["object"], parts["probe"], parts["positions"])
        return self.intensity[:, None, None] * light + parts.get("background", self.background)

    def misfit(self, **changed):
        """(n,)"""
        off = np.sqrt(self.rate(**changed)) - self.amplitude
        return np.sum(off**2 * self.good, axis=(1, 2))

    def deviance(self, **changed):
        """(n,)"""
        n, rate = np.square(self.amplitude, dtype=np.float64), self.rate(**changed)
        terms = rate - n + (n + _FLOOR) * np.log((n + _FLOOR) / (rate + _FLOOR))
        return 0.5 * np.sum(terms * self.good, axis=(1, 2))


@st.composite
def cases(draw):
    modes = draw(st.sampled_from([1, 2]))
    positions = draw(scan_positions(SHAPE, N, max_size=5))
    n = len(positions)
    # Away from whole pixels, so that a finite difference stays between the same two.
    positions = np.floor(positions) + 0.05 + 0.9 * (positions - np.floor(positions))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    scan = Scan(
        diffraction=rng.poisson(rng.exponential(4.0, (n, N, N))).astype(np.uint16),
        unit="counts",
        positions=np.minimum(positions, np.array(SHAPE) - N // 2 - 0.05),
        probe=np.ones((N, N), np.complex64),
        bad_pixels=draw(bad_pixels(draw(st.sampled_from([(N, N), (n, N, N)])))),
    )
    return Case(
        scan,
        draw(complex_objects(SHAPE)),
        draw(complex_probes(N, modes)),
        rng.exponential(size=(N, N)),
        rng.uniform(0.5, 2.0, n),
    )


def _inner(descent, direction):
    return float(np.sum(np.conj(descent) * direction).real)


def _slope_along(f, direction, h=1e-5):
    return (f(h * direction) - f(-h * direction)) / (2 * h)


@given(cases())
def test_misfit_deviance_and_counts_are_the_oracles(case):
    everyone = np.arange(len(case.scan))
    sums = sweep(OPS, case.estimate, case.frames, everyone, floor=_FLOOR, noise=True)
    np.testing.assert_allclose(sums.misfit, case.misfit(), rtol=1e-9)
    np.testing.assert_allclose(sums.deviance, case.deviance(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(sums.expected_counts, np.sum(case.rate() * case.good, (1, 2)), rtol=1e-9)
    np.testing.assert_allclose(sums.measured_counts, np.sum(case.scan.diffraction, (1, 2)), rtol=1e-6)
    noise = np.sum(noise_variance(np.sqrt(case.rate())) * case.good, (1, 2))
    np.testing.assert_allclose(sums.noise, noise, rtol=1e-9)


@pytest.mark.parametrize("likelihood", ["amplitude", "poisson"])
@settings(max_examples=12)
@given(case=cases(), seed=st.integers(0, 2**32 - 1))
def test_descents_of_object_and_probe_are_those_of_the_oracles_likelihood(likelihood, case, seed):
    """``d loss = -2 Re <descent, direction>``, along any direction."""
    rng = np.random.default_rng(seed)
    everyone = np.arange(len(case.scan))
    loss = case.misfit if likelihood == "amplitude" else case.deviance
    sums = sweep(
        OPS, case.estimate, case.frames, everyone,
        likelihood=likelihood, floor=_FLOOR, object=True, probe=True,
    )  # fmt: skip
    for part, descent in (("object", sums.object), ("probe", fft.ifft2(sums.probe, norm="ortho"))):
        here = getattr(case, part)
        direction = rng.normal(size=here.shape) + 1j * rng.normal(size=here.shape)
        slope = _slope_along(lambda d, p=part, at=here: loss(**{p: at + d}).sum(), direction)
        scale = np.linalg.norm(descent) * np.linalg.norm(direction)
        assert slope == pytest.approx(-2 * _inner(descent, direction), abs=1e-5 * scale)


@settings(max_examples=12)
@given(cases())
def test_sums_of_the_moves_are_derivatives_along_y_and_x(case):
    h, n = 1e-5, len(case.scan)
    sums = sweep(OPS, case.estimate, case.frames, np.arange(n), moves=True).moves
    slopes = []
    for axis in (0, 1):
        step = h * np.eye(2)[axis]
        low, high = (np.sqrt(case.rate(positions=case.scan.positions + s)) for s in (-step, step))
        slopes.append((high - low) / (2 * h) * case.good)
    a, b = slopes
    off = case.amplitude - np.sqrt(case.rate())
    expected = [np.sum(p, (1, 2)) for p in (a * a, a * b, b * b)]
    scale = np.abs(expected).max() + 1.0
    np.testing.assert_allclose(sums.matrix, np.stack(expected, 1), atol=1e-5 * scale)
    right = np.stack([np.sum(p * off, (1, 2)) for p in (a, b)], 1)
    np.testing.assert_allclose(sums.right, right, atol=1e-5 * (np.abs(right).max() + scale))


@settings(max_examples=12)
@given(cases())
def test_pixel_sums_tell_the_slope_and_the_information_of_the_background(case):
    n, rate, m = case.scan.diffraction, case.rate(), case.good
    sums = sweep(OPS, case.estimate, case.frames, np.arange(len(n)), pixels=True).pixels

    def likelihood(b):
        lit = case.rate(background=case.background + b)
        return np.sum(m * (n * np.log(lit) - lit), axis=0)

    h = 1e-6
    slope = (likelihood(h) - likelihood(-h)) / (2 * h)
    np.testing.assert_allclose(fft.fftshift(sums.slope), slope, rtol=1e-4, atol=1e-4)
    for name, values in {
        "residual": (n - rate) ** 2, "expected": rate, "counted": n, "curvature": 1 / rate, "frames": 1.0,
    }.items():  # fmt: skip
        expected = np.sum(m * values, axis=0)
        np.testing.assert_allclose(fft.fftshift(getattr(sums, name)), expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=10)
@given(cases(), st.integers(0, 2**32 - 1))
def test_what_lies_under_bad_pixels_changes_no_bit(case, seed):
    bad = np.broadcast_to(~case.good, case.scan.diffraction.shape)
    junk = np.array([0.0, 7.0, -1.0, np.nan, np.inf, 2.0**32 - 1])
    spoiled = case.scan.diffraction.astype(np.float64)
    clean = spoiled.copy()
    spoiled[bad] = np.random.default_rng(seed).choice(junk, int(bad.sum()))
    wanted = dict.fromkeys(("object", "probe", "moves", "pixels", "noise"), True)
    one, other = (
        sweep(
            OPS, case.estimate, Frames(OPS, patterns, "counts", case.scan.bad_pixels, size=N),
            np.arange(len(bad)), **wanted,
        )
        for patterns in (clean, spoiled)
    )  # fmt: skip
    for a, b in zip(_numbers(one), _numbers(other), strict=True):
        np.testing.assert_array_equal(a, b)


@settings(max_examples=10)
@given(cases())
def test_a_mask_of_all_frames_is_that_of_each_and_a_frame_without_pixels_adds_nothing(case):
    n = len(case.scan)
    bad = np.broadcast_to(~case.good, case.scan.diffraction.shape).copy()
    wanted = dict.fromkeys(("object", "probe", "pixels", "noise"), True)
    each = attrs.evolve(case, scan=attrs.evolve(case.scan, bad_pixels=bad))
    one, other = (sweep(OPS, c.estimate, c.frames, np.arange(n), **wanted) for c in (case, each))
    for a, b in zip(_numbers(one), _numbers(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    bad[-1] = True
    if not bad.all():
        hidden = attrs.evolve(case, scan=attrs.evolve(case.scan, bad_pixels=bad))
        one = sweep(OPS, hidden.estimate, hidden.frames, np.arange(n), **wanted)
        other = sweep(OPS, each.estimate, each.frames, np.arange(n - 1), **wanted)
        for a, b in zip(_numbers(one), _numbers(other), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def _numbers(sums):
    """All arrays of a sweep."""
    for value in attrs.astuple(sums, recurse=False):
        if attrs.has(type(value)):
            yield from attrs.astuple(value)
        elif value is not None:
            yield value


@settings(max_examples=10)
@given(cases(), st.integers(0, 2**32 - 1))
def test_modes_rotated_among_themselves_give_the_same_misfit(case, seed):
    rng = np.random.default_rng(seed)
    k = len(case.probe)
    unitary, _ = np.linalg.qr(rng.normal(size=(k, k)) + 1j * rng.normal(size=(k, k)))
    turned = attrs.evolve(case, probe=np.tensordot(unitary, case.probe, 1))
    wanted = {"object": True, "moves": True, "noise": True}
    one, other = (sweep(OPS, c.estimate, c.frames, np.arange(len(c.scan)), **wanted) for c in (case, turned))
    for a, b in zip(_numbers(one), _numbers(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-8)


@given(st.floats(0.0, 300.0))
def test_noise_variance_is_the_sum_over_poissons_distribution(mean):
    n = np.arange(int(mean + 12 * np.sqrt(mean) + 30))
    exact = np.sum(stats.poisson.pmf(n, mean) * (np.sqrt(n) - np.sqrt(mean)) ** 2)
    assert noise_variance(np.sqrt(mean)) == pytest.approx(exact, rel=2e-3, abs=1e-12)


@given(st.sampled_from([(8, 4), (34, 8), (50, 24), (34, 16)]), st.integers(0, 2**32 - 1))
def test_a_cut_spectrum_that_is_put_back_changes_nothing(sizes, seed):
    whole, part = sizes
    rng = np.random.default_rng(seed)
    spectrum = rng.normal(size=(2, whole, whole)) + 1j * rng.normal(size=(2, whole, whole))
    cut = cut_spectrum(spectrum, part)
    np.testing.assert_array_equal(put_spectrum(spectrum, cut), spectrum)
    other = put_spectrum(spectrum, 2 * cut)
    np.testing.assert_array_equal(cut_spectrum(other, part), 2 * cut)
    assert np.array_equal(cut[:, 0, 0], spectrum[:, 0, 0]) and np.array_equal(
        cut[:, 1, -1], spectrum[:, 1, -1]
    )


@pytest.mark.parametrize("size", [16, 20])
def test_a_coarse_level_predicts_the_central_part_of_the_patterns(size):
    """Where object and probe have no detail that it cannot hold."""
    N, origin, rng = 32, (-7, 4), np.random.default_rng(0)
    y, x = np.mgrid[:60, :64]
    image = 1 + sum(
        c * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 60)
        for a, b, c in zip(
            rng.uniform(15, 45, 5), rng.uniform(15, 45, 5), rng.normal(size=5) + 0.8j, strict=True
        )
    )
    u, v = np.mgrid[:N, :N] - N / 2
    probe = np.exp(-(((u - 1) / 5) ** 2) - ((v + 2) / 4) ** 2 + 0.02j * (u * u - v * u) + 0.2j * v)
    positions = np.array([[20.3, 24.8], [27.7, 26.2], [22.5, 30.9]]) + origin
    whole = diffraction_intensity(image, probe, positions - origin)
    scale = size / N
    shape = (int(60 * scale) - 1, int(64 * scale) - 1)
    coarse_origin = (int(np.ceil(origin[0] * scale)), int(np.ceil(origin[1] * scale)))
    estimate = Estimate(
        resample_object(image, (1.0, origin), (scale, coarse_origin), shape),
        cut_spectrum(fft.fft2(probe, norm="ortho")[None], size),
        positions,
        scale,
        coarse_origin,
    )
    frames = Frames(OPS, np.sqrt(whole), "amplitude", size=size)
    sums = sweep(OPS, estimate, frames, np.arange(3))
    assert np.sqrt(sums.misfit.sum() / sums.measured_counts.sum()) < 0.004

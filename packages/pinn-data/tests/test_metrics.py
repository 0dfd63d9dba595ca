"""Laws of the metrics, and their agreement with the benchmark's own (`<root>/../shared/bench/metrics.py`)."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pinn_data.errors import ShapeError
from pinn_data.metrics.alignment import ORIENTATIONS, Alignment, phase_ramp
from pinn_data.metrics.ring_correlation import RingCorrelation
from pinn_data.metrics.scores import _phase_error, align, evaluate, frc, frc_crossing, half_scan_frc
from pinn_data.optics.probe import fourier_shift
from pinn_data.simulation.simulate import picture_object
from pinn_data.testing import complex_objects
from scipy import ndimage

TRUTH = picture_object("coins", "camera", 120)
ROI = (30, 95, 25, 88)
BENCH = Path(__file__).resolve().parents[3].parent / "shared" / "bench"


def noise(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def bench_module(name):
    path = BENCH / f"{name}.py"
    if not path.exists():
        pytest.skip(f"the benchmark is not here: {path} does not exist")
    spec = importlib.util.spec_from_file_location(f"bench_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- registration


@settings(max_examples=15)
@given(
    st.integers(0, 12),
    st.integers(0, 14),
    st.floats(-0.5, 0.5),
    st.floats(-0.5, 0.5),
    st.floats(0.1, 8),
    st.floats(-3, 3),
)
def test_a_shifted_scaled_crop_is_laid_back(top, left, dy, dx, scale, phase):
    moved = fourier_shift(TRUTH, (dy, dx))[top:-9, left:-7] * scale * np.exp(1j * phase)
    fit = align(moved, TRUTH, roi=ROI)
    assert fit.offset == pytest.approx((top - dy, left - dx), abs=0.03)
    assert fit.scale == pytest.approx(1 / scale, rel=0.01)
    assert np.exp(1j * fit.phase) == pytest.approx(np.exp(-1j * phase), abs=0.01)
    np.testing.assert_array_equal(fit.truth, TRUTH[30:95, 25:88])
    assert np.linalg.norm(fit.recon - fit.truth) < 0.05 * np.linalg.norm(fit.truth)


@pytest.mark.parametrize(("top", "left"), [(27, 1), (2, 24)])
def test_a_crop_from_far_inside_is_laid_back(top, left):
    """Farther than what registers fractions of a pixel would find by itself."""
    fit = align(TRUTH[top:112, left:110], TRUTH, roi=ROI)
    assert fit.offset == pytest.approx((top, left), abs=0.01)
    np.testing.assert_allclose(fit.recon, fit.truth, atol=1e-6)


@given(complex_objects((9, 11)), complex_objects((9, 11)))
def test_the_error_of_the_phase_has_no_circular_mean(recon, truth):
    """Which is not the phase of the constant that fits best, where bright pixels are off otherwise than dark
    ones."""
    error = _phase_error(Alignment(recon, truth, (0.0, 0.0), "id", (0.0, 0.0), 1.0, 0.0))
    assert abs(np.angle(np.mean(np.exp(1j * error)))) < 1e-9
    turned = np.angle(recon / truth * np.exp(-1j * error))
    np.testing.assert_allclose(np.exp(1j * turned), np.exp(1j * turned[0, 0]), atol=1e-9)


@settings(max_examples=15)
@given(st.floats(0.1, 8), st.floats(-3, 3))
def test_scores_do_not_see_scale_and_global_phase(scale, phase):
    recon = TRUTH + 0.05 * noise(TRUTH.shape)
    a, b = evaluate(recon, TRUTH, roi=ROI), evaluate(recon * scale * np.exp(1j * phase), TRUTH, roi=ROI)
    for name in (
        "ssim_amp",
        "ssim_phase",
        "psnr_amp",
        "psnr_phase",
        "mae_amp",
        "mae_phase",
        "nrmse",
        "frc50_phase",
    ):
        assert a[name] == pytest.approx(b[name], abs=1e-6), name


@given(st.floats(-0.6, 0.6), st.floats(-0.6, 0.6))
def test_phase_ramp_is_found(a, b):
    y, x = np.mgrid[:40, :52]
    assert phase_ramp(np.exp(1j * (a * y + b * x + 0.4))) == pytest.approx((a, b), abs=1e-6)


@settings(max_examples=8)
@given(st.floats(-0.03, 0.03), st.floats(-0.03, 0.03))
def test_a_ramp_is_removed_when_asked(a, b):
    y, x = np.mgrid[:112, :110]
    recon = fourier_shift(TRUTH, (0.3, -0.2))[4:116, 5:115] * np.exp(1j * (a * y + b * x))
    scores = evaluate(recon, TRUTH, roi=ROI, remove_ramp=True)
    assert scores["ramp"] == pytest.approx((a, b), abs=2e-3)
    assert scores["ssim_phase"] > 0.97 and scores["offset"] == pytest.approx((3.7, 5.2), abs=0.1)


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("conjugated", [False, True])
def test_orientations_tell_how_the_image_was_laid_down(name, conjugated):
    inverse = {"Tfy": "Tfx", "Tfx": "Tfy"}.get(name, name)
    image = TRUTH[10:-12, 6:-8]
    laid = ORIENTATIONS[inverse](image.conj() if conjugated else image)
    fit = align(laid, TRUTH, roi=ROI, orientations=True)
    assert fit.orientation == name + ("*" if conjugated else "")
    np.testing.assert_allclose(fit.recon, fit.truth, atol=0.02)


def test_a_guess_replaces_the_search_and_what_was_not_reconstructed_is_empty():
    recon = TRUTH[8:-3, 5:-4].copy()
    recon[:3] = np.nan
    fit = align(recon, TRUTH, roi=ROI, guess=(8, 5))
    np.testing.assert_allclose(fit.recon, fit.truth, atol=1e-9)
    assert fit.offset == (8, 5)


@pytest.mark.parametrize("roi", [(0, 130, 0, 50), (10, 10, 0, 50), (-1, 40, 0, 50)])
def test_regions_outside_the_truth_are_refused(roi):
    with pytest.raises(ShapeError, match="region of interest"):
        align(TRUTH, TRUTH, roi=roi)


def test_nothing_inside_the_region_and_stacks_of_images_are_refused():
    with pytest.raises(ShapeError, match="nothing inside"):
        align(TRUTH[:20, :20], TRUTH, roi=ROI, guess=(0, 0))
    with pytest.raises(ShapeError, match="row, column"):
        align(TRUTH[None], TRUTH)


# --- scores


def test_more_noise_and_more_blur_score_worse():
    for degrade in (
        lambda s: TRUTH + s * noise(TRUTH.shape),
        lambda s: ndimage.gaussian_filter(TRUTH, 20 * s),
    ):
        scores = [evaluate(degrade(s), TRUTH, roi=ROI) for s in (0.01, 0.05, 0.2)]
        for name, better in (
            ("ssim_amp", 1),
            ("ssim_phase", 1),
            ("psnr_amp", 1),
            ("psnr_phase", 1),
            ("nrmse", -1),
        ):
            values = [better * s[name] for s in scores]
            assert values == sorted(values, reverse=True), name


def test_a_constant_image_scores_as_the_floor_it_is():
    scores = evaluate(np.ones_like(TRUTH), TRUTH, roi=ROI, guess=(0, 0))
    assert scores["ssim_phase"] < 0.1 and scores["ssim_amp"] < 0.3
    p = np.angle(TRUTH[30:95, 25:88])
    assert scores["mae_phase"] == pytest.approx(
        np.mean(np.abs(p - np.angle(np.mean(np.exp(1j * p))))), abs=0.01
    )


def test_data_range_is_the_peak_to_peak_of_the_truth():
    error = 0.01 * np.random.default_rng(0).normal(size=TRUTH.shape)
    scores = evaluate(TRUTH * np.exp(1j * error), TRUTH, roi=ROI, guess=(0, 0))
    core = np.angle(TRUTH[30:95, 25:88])
    assert scores["psnr_phase"] == pytest.approx(20 * np.log10(np.ptp(core) / 0.01), abs=0.3)
    assert scores["mae_phase"] == pytest.approx(0.01 * np.sqrt(2 / np.pi), rel=0.1)


# --- ring correlation


@given(complex_objects((24, 27)), complex_objects((24, 27)), st.floats(0.1, 9))
def test_ring_correlation_is_symmetric_bounded_and_blind_to_scale(a, b, s):
    curve = frc(a, b)
    np.testing.assert_allclose(curve.correlation, frc(b, a).correlation, atol=1e-9)
    np.testing.assert_allclose(curve.correlation, frc(s * a + 5, b).correlation, atol=1e-9)
    assert (np.abs(curve.correlation) <= 1 + 1e-9).all()
    np.testing.assert_allclose(frc(a, a).correlation, 1)
    assert curve.frequency[0] == 0 and curve.frequency[-1] == 1 and curve.pixels[0] == 1
    assert frc_crossing(frc(a, a)) == 1.0


def test_ring_correlation_falls_where_the_signal_sinks_into_the_noise():
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128), indexing="ij"))
    signal = np.fft.ifft2(np.fft.fft2(noise((128, 128))) * (k < 0.2)).real
    curve = frc(signal + 0.05 * noise((128, 128), 1).real, signal + 0.05 * noise((128, 128), 2).real)
    assert frc_crossing(curve, 0.5) == pytest.approx(0.4, abs=0.03)
    assert frc_crossing(curve, 0.5) <= frc_crossing(curve, 1 / 7)
    assert frc_crossing(curve, "half-bit") == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize(
    "correlation, threshold, crossing",
    [
        (
            [1, 0.2, 0.9, 0.6, 0.4, 0.0],
            0.5,
            0.7,
        ),  # half-way from 0.6 to 0.4; the dip at the second ring is none
        ([1, 0.2, 0.9, 0.6, 0.4, 0.0], 0.1, 0.95),
        ([1, 0.2, 0.9, 0.6, 0.4, 0.2], 1 / 7, 1.0),  # never
        ([1, 0.2, 0.1, 0.6, 0.4, 0.2], 0.5, 0.4),  # below from the start
    ],
)
def test_crossings_are_interpolated_between_rings(correlation, threshold, crossing):
    curve = RingCorrelation(np.arange(6) / 5, np.array(correlation), np.arange(6) + 1)
    assert frc_crossing(curve, threshold) == pytest.approx(crossing)


def test_ring_correlation_refuses_images_that_differ():
    for a, b in (((16, 16), (16, 17)), ((16,), (16,)), ((6, 6), (6, 6))):
        with pytest.raises(ShapeError):
            frc(np.ones(a), np.ones(b))


# --- two halves of one scan


def test_half_scans_agree_up_to_where_both_hold_signal_whatever_shift_and_ramp():
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(120), np.fft.fftfreq(120), indexing="ij"))
    fine = np.fft.ifft2(np.fft.fft2(noise((120, 120))) * (k < 0.25)).real
    o = np.exp(0.4j * fine / fine.std())
    y, x = np.mgrid[:120, :120]
    even = o + 0.03 * noise(o.shape, 1)
    odd = fourier_shift(o, (0.2, -0.3)) * 1.3 * np.exp(1j * (0.8 + 0.015 * y - 0.02 * x)) + 0.03 * noise(
        o.shape, 2
    )
    result = half_scan_frc(even, odd, size=80)
    assert result.roi == (20, 100, 20, 100)
    assert result.alignment.offset == pytest.approx((0.2, -0.3), abs=0.05)
    assert result.cutoffs["frc50_phase"] == pytest.approx(0.5, abs=0.1)
    assert result.cutoffs["frc17_phase"] >= result.cutoffs["frc50_phase"]


def test_a_ramp_common_to_both_halves_does_not_count_as_agreement():
    y, x = np.mgrid[:96, :96]
    ramp = np.exp(1j * (0.3 * y + 0.2 * x))  # wraps many times
    halves = [ramp * np.exp(0.3j * noise((96, 96), seed).real) for seed in (1, 2)]
    assert half_scan_frc(*halves).cutoffs["frc50_phase"] < 0.15


def test_half_scans_with_themselves_agree_everywhere():
    result = half_scan_frc(TRUTH, TRUTH)
    assert result.roi == (0, 120, 0, 120)
    assert result.cutoffs["frc50_phase"] == result.cutoffs["frc50_amp"] == 1.0


# --- agreement with the benchmark's metrics

SAME = [
    f"{k}_{c}" for k in ("ssim", "psnr", "mae", "frc50", "frc_halfbit", "frcauc") for c in ("amp", "phase")
]
SAME += ["nrmse", "frc50_complex", "frc_halfbit_complex", "frcauc_complex"]


CASES = {
    "shifted and scaled crop": lambda R: (R, {}),
    "little noise": lambda R: (R + 0.006 * noise(R.shape), {}),
    "much noise": lambda R: (R + 0.03 * noise(R.shape), {}),
    "blur": lambda R: (ndimage.gaussian_filter(R, 1.5) + 0.003 * noise(R.shape), {}),
    "known offset": lambda R: (R + 0.01 * noise(R.shape), {"guess": (39, 36)}),
    "ramp": lambda R: (
        R * np.exp(1j * (0.01 * np.arange(R.shape[0])[:, None] - 0.004 * np.arange(R.shape[1])))
        + 0.006 * noise(R.shape),
        {"remove_ramp": True},
    ),
    "turned over": lambda R: (np.conj((R + 0.006 * noise(R.shape)).T[::-1]), {"orientations": True}),
}


OBJECTS = {"test": (320, ("coins", "camera"), (0, 1)), "train": (400, ("camera", "moon"), (0, 0))}


@pytest.mark.parametrize(
    "which, case",
    [("test", case) for case in CASES]
    + [("train", case) for case in ("little noise", "blur", "known offset")],
)
def test_agrees_with_the_benchmark(which, case):
    """On the objects of the benchmark's two scans."""
    bench = bench_module("metrics")
    size, names, rot = OBJECTS[which]
    truth = bench_module("make_bench_data").make_object(size, *names, rot=rot)
    roi = (66, size - 70, 64, size - 67)
    recon, options = CASES[case](fourier_shift(truth, (0.37, -0.61))[40:-30, 35:-38] * 0.3 * np.exp(0.7j))
    theirs, ours = bench.evaluate(recon, truth, roi, **options), evaluate(recon, truth, roi=roi, **options)
    assert set(theirs) <= set(ours)
    for name in SAME:
        assert ours[name] == pytest.approx(theirs[name], abs=2e-3), name
    assert ours["orientation"] == theirs["orientation"]
    for name in ("offset", "ramp", "scale"):
        assert ours[name] == pytest.approx(theirs[name], abs=0.02), name

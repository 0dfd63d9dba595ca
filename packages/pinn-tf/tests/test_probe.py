"""The probe of the historical dictionary: normalised as its readers expect, and never another size."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from pinn_config import InferenceConfig, ModelConfig, legacy, update_legacy_dict
from pinn_data.errors import DataRangeError, ShapeError
from pinn_data.optics.probe import defocused_probe, probe_disk
from pinn_data.testing import complex_probes
from pinn_tf.errors import RunError
from pinn_tf.historical.probe import get_default_probe, set_default_probe, set_probe_guess
from scipy.ndimage import gaussian_filter


@pytest.fixture(autouse=True)
def bridge(monkeypatch):
    """Bridges a configuration into a dictionary of the test's own."""
    monkeypatch.setattr(legacy, "cfg", dict(legacy.cfg))

    def bridged(N=64, probe_scale=4.0):
        update_legacy_dict(legacy.cfg, InferenceConfig(ModelConfig(N=N, probe_scale=probe_scale)))

    bridged()
    return bridged


def _strength(stored, N):
    modes = np.reshape(stored, (-1, N, N)).astype(complex)
    return np.mean(np.sqrt(np.sum(np.abs(modes) ** 2, axis=0)) * probe_disk(N))


@pytest.mark.parametrize(("N", "pixels"), [(64, 812), (128, 3228)])
def test_the_disk_is_that_of_the_public_implementation(N, pixels):
    disk = probe_disk(N)
    assert disk.sum() == pixels
    assert np.array_equal(disk, disk[::-1]) and np.array_equal(disk, disk.T)


@given(probe=complex_probes(64, 3), scale=st.sampled_from([0.5, 4.0]), gain=st.floats(1e-3, 1e3))
def test_a_probe_is_stored_with_its_mean_amplitude_and_its_shape(bridge, probe, scale, gain):
    bridge(probe_scale=scale)
    for given_, kept in (
        (probe, probe),
        (probe[0], probe[0]),
        (probe[:1], probe[0]),
        (probe[0][..., None], probe[0]),
    ):
        result = set_probe_guess(None, given_ * gain)
        stored = legacy.get("probe")
        assert result.shape == given_.shape and stored.dtype == result.dtype == np.complex64
        assert stored.shape == kept.shape and np.array_equal(stored.ravel(), result.ravel())
        assert _strength(stored, 64) == pytest.approx(1 / scale, rel=1e-5)
        # Only multiplied: the modes keep their proportions and their phases.
        ratio = np.vdot(kept, stored) / np.vdot(kept, kept)
        assert ratio.real > 0 and abs(ratio.imag) < 1e-6 * ratio.real
        np.testing.assert_allclose(stored, ratio * kept, rtol=1e-4, atol=1e-6 * np.abs(stored).max())


def test_what_was_given_is_not_changed():
    probe = defocused_probe(64)[None].astype(np.complex64)
    before = probe.copy()
    set_probe_guess(None, probe)
    assert np.array_equal(probe, before)


def test_the_default_probe_is_a_soft_disk():
    probe = get_default_probe(64, "np")
    assert probe.shape == (64, 64) and probe.dtype == np.float64 and (probe > 0).all()
    np.testing.assert_allclose(probe, probe.T)
    np.testing.assert_allclose(probe, probe[::-1])
    # Half its maximum at std * sqrt(2 ln 2), std = N / (0.7 pi**2).
    radius = np.sqrt(np.sum(probe > 0.5) / np.pi)
    assert radius == pytest.approx(64 / (0.7 * np.pi**2) * np.sqrt(2 * np.log(2)), abs=0.5)
    tensor = get_default_probe(64)
    assert tf.is_tensor(tensor) and tensor.dtype == tf.complex64
    np.testing.assert_allclose(tensor.numpy()[..., 0], probe, rtol=1e-6)
    stored = set_default_probe()
    assert np.array_equal(stored, legacy.get("probe"))
    np.testing.assert_allclose(stored, probe * (stored[32, 32] / probe[32, 32]), rtol=1e-5)
    assert _strength(stored, 64) == pytest.approx(0.25, rel=1e-5)


def test_its_size_follows_the_legacy_dictionary(bridge):
    bridge(128)
    assert set_default_probe().shape == (128, 128)
    legacy.set("default_probe_scale", 1.4)
    narrow = get_default_probe(64, "np")
    legacy.set("default_probe_scale", 0.7)
    assert (narrow > 0.5).sum() == pytest.approx((get_default_probe(64, "np") > 0.5).sum() / 4, rel=0.1)


def test_a_guess_from_patterns_is_the_probe_of_an_empty_object():
    """Of a disk of light: its own patterns give it back, as far as a flat phase can."""
    disk = np.asarray(get_default_probe(64, "np"))
    amplitude = np.abs(np.fft.fftshift(np.fft.fft2(disk, norm="ortho")))
    # Lobes of a disk's transform alternate in sign, which amplitudes do not tell; the main lobe decides.
    guess = set_probe_guess(np.broadcast_to(amplitude[None, ..., None], (3, 64, 64, 4)))
    assert guess.shape == (64, 64) and not guess.imag.any() and (guess.real >= 0).all()
    assert not guess[probe_disk(64) == 0].any()
    assert np.unravel_index(np.argmax(guess.real), guess.shape) == (32, 32)
    assert _strength(guess, 64) == pytest.approx(0.25, rel=1e-5)
    smooth = np.exp(-((np.arange(64) - 32.0) ** 2) / 8)
    wide = set_probe_guess(np.outer(smooth, smooth)[None, ..., None])
    # A Gaussian is its own transform: std 2 becomes N / (2 pi 2).
    assert abs(wide[32, 37] / wide[32, 32]) == pytest.approx(
        np.exp(-0.5 * (5 * 4 * np.pi / 64) ** 2), rel=1e-3
    )


@pytest.mark.parametrize(
    ("call", "kind", "why"),
    [
        (lambda: set_probe_guess(), RunError, "neither a probe nor patterns"),
        (lambda: set_probe_guess(None, np.ones((2, 2, 64, 64))), ShapeError, r"shape \(2, 2, 64, 64\)"),
        (lambda: set_probe_guess(None, np.ones((64, 32))), ShapeError, r"\(64, 32\) was given"),
        (lambda: set_probe_guess(None, np.ones((1, 32, 32))), ShapeError, r"32 x 32, but .* N=64: bridge"),
        (lambda: set_probe_guess(None, np.zeros((64, 64))), DataRangeError, "no light"),
        (lambda: set_probe_guess(None, np.full((64, 64), np.nan)), DataRangeError, "NaN"),
        (lambda: set_probe_guess(np.ones((3, 64, 64))), ShapeError, r"X_train has shape"),
        (lambda: set_probe_guess(np.zeros((3, 64, 64, 1))), DataRangeError, "no light"),
        (lambda: get_default_probe(64, "torch"), RunError, "fmt='torch' was given"),
        (lambda: get_default_probe(63, "np"), ShapeError, "must be even"),
    ],
)
def test_what_is_no_probe_is_refused_in_one_sentence_and_stored_nowhere(call, kind, why):
    with pytest.raises(kind, match=why) as caught:
        call()
    assert "\n" not in str(caught.value) and "probe" not in legacy.cfg


@pytest.mark.parametrize("default_probe_scale", [0.1, 0.7])
def test_the_edge_of_the_default_probe_is_smoothed_by_a_pixel(default_probe_scale):
    legacy.set("default_probe_scale", default_probe_scale)
    along = np.arange(64) - 31.5
    profile = np.exp(-0.5 * (along / (64 / (default_probe_scale * np.pi**2))) ** 2)
    expected = gaussian_filter((np.outer(profile, profile) > 0.5).astype(float), 1.0) + 1e-9
    np.testing.assert_allclose(get_default_probe(64, "np"), expected, atol=1e-12)

"""The probe of the historical dictionary, under its historical functions.

``params.cfg['probe']`` is there for programs that set it and read it; nothing in this package reads it. A
training takes the probe of its scan, and a model that was opened has the one that it was trained with: as its
own state, so that two models in one process do not share it. So these functions change no model, and a
program that sets the probe of its scan before it reconstructs (ptychodus does) may do so before or after it
opens a model. What they do besides is to refuse a probe of another size than the configuration's.

Units: a probe P is stored as ``P / (probe_scale * mean(disk * abs(P)))``, the mean taken over all N x N
pixels and the disk being that of diameter N/2 (`probe_disk`); so ``mean(disk * abs(stored)) ==
1 / probe_scale``. The amplitude of several modes is ``sqrt(sum_m abs(P_m)**2)``.

Source: facts of the public implementation, ``probe.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pinn_config import legacy
from pinn_data.errors import DataRangeError, ShapeError
from pinn_data.optics.probe import probe_disk

from pinn_tf.errors import RunError
from pinn_tf.runtime.requirements import require_tensorflow

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["get_default_probe", "set_default_probe", "set_probe_guess"]


def get_default_probe(N: int, fmt: Literal["tf", "np"] = "tf") -> NDArray[np.float64] | tf.Tensor:
    """A soft disk for want of anything better: real and positive, (N, N) float64 for 'np', (N, N, 1)
    complex64 for 'tf'.

    The set where a Gaussian of standard deviation ``N / (default_probe_scale * pi**2)`` is above half its
    maximum, smoothed by a pixel; ``default_probe_scale`` is that of the legacy dictionary.

    Raises RunError (a ValueError) for another `fmt`, ShapeError for an N that is odd or below 4.
    """
    if fmt not in ("tf", "np"):
        raise RunError(f"fmt={fmt!r} was given, but 'tf' or 'np' is needed")
    if N < 4 or N % 2:
        raise ShapeError(f"a probe of {N} pixels was asked for, but N must be even and at least 4")
    along = np.arange(N) - (N - 1) / 2
    profile = np.exp(-0.5 * (along * legacy.get("default_probe_scale") * np.pi**2 / N) ** 2)
    probe = _smoothed(np.outer(profile, profile) > 0.5) + 1e-9
    if fmt == "np":
        return probe
    return require_tensorflow().convert_to_tensor(probe[..., None], dtype="complex64")


def set_default_probe() -> NDArray[np.complex64]:
    """Store the default probe for the ``N`` of the legacy dictionary; what was stored."""
    return _store(np.asarray(get_default_probe(legacy.get("N"), "np"))[None])[0]


def set_probe_guess(
    X_train: ArrayLike | None = None, probe_guess: ArrayLike | None = None
) -> NDArray[np.complex64]:
    """Store a probe as ``params.cfg['probe']``, normalised; what was stored, in the shape that was given.

    ``set_probe_guess(None, probe)`` is what programs call: a probe of several modes, (mode, N, N), is stored
    with all of them, in the proportions in which they come.

    Parameters
    ----------
    X_train : (B, N, N, C) real >= 0
        Amplitudes, for a guess where there is none: the modulus of the inverse Fourier transform of their
        mean within the disk, with the sum of the default probe. Not looked at otherwise.
    probe_guess : (N, N), (mode, N, N) or (N, N, 1) complex

    Raises
    ------
    ShapeError
        Neither shape, or not the ``N`` of the legacy dictionary (that of the configuration that was bridged
        last, or of the model that was opened since).
    DataRangeError
        It is dark within the disk, or not finite.
    RunError (a ValueError)
        Neither was given.
    """
    if probe_guess is None:
        if X_train is None:
            raise RunError(
                "neither a probe nor patterns were given: call set_probe_guess(None, probe) with the probe "
                "of the scan"
            )
        return _store(_from_patterns(np.asarray(X_train))[None])[0]
    probe = np.asarray(probe_guess)
    if probe.ndim == 3 and probe.shape[2] == 1 and probe.shape[0] == probe.shape[1]:
        return _store(probe[None, ..., 0])[0][..., None]
    if probe.ndim not in (2, 3) or probe.shape[-1] != probe.shape[-2] or 0 in probe.shape:
        raise ShapeError(
            f"a probe of shape {probe.shape} was given, but (N, N), (modes, N, N) or (N, N, 1) is needed"
        )
    return _store(probe if probe.ndim == 3 else probe[None]).reshape(probe.shape)


def _smoothed(image: NDArray[np.bool_]) -> NDArray[np.float64]:
    """By a Gaussian of one pixel, mirrored at the edges."""
    kernel = np.exp(-0.5 * np.arange(-4, 5) ** 2)
    kernel /= kernel.sum()
    N, smooth = len(image), np.pad(image, 4, mode="symmetric").astype(np.float64)
    for _ in range(2):  # along one axis, then along the other
        smooth = sum(weight * smooth[i : i + N] for i, weight in enumerate(kernel)).T
    return smooth


def _from_patterns(X: NDArray[Any]) -> NDArray[np.float64]:
    if X.ndim != 4 or X.shape[1] != X.shape[2] or 0 in X.shape:
        raise ShapeError(f"X_train has shape {X.shape}, but amplitudes (B, N, N, C) are needed")
    N = X.shape[1]
    mean = X.mean(axis=(0, 3), dtype=np.float64)
    guess: NDArray[np.float64] = np.abs(np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(mean)))) * probe_disk(N)
    total = guess.sum()
    default = np.asarray(get_default_probe(N, "np")).sum()
    return guess * (default / total) if total > 0 else guess


def _store(modes: NDArray[Any]) -> NDArray[np.complex64]:
    """Modes (mode, N, N), normalised and stored ((N, N) where there is one)."""
    N = legacy.get("N")
    if modes.shape[-1] != N:
        raise ShapeError(
            f"the probe is {modes.shape[-1]} x {modes.shape[-1]}, but the configuration or the model in use "
            f"is for N={N}: bridge the configuration of this scan first, or open a model that was trained "
            "for patterns of its size"
        )
    strength = np.sqrt(np.sum(np.abs(modes.astype(np.complex128)) ** 2, axis=0))
    lit = float(np.mean(strength * probe_disk(N)))
    if not (np.isfinite(strength).all() and lit > 0):
        raise DataRangeError(
            "the probe holds NaN or infinity, or no light within the disk of diameter N/2: give the probe of "
            "the scan"
        )
    stored = (modes / (legacy.get("probe_scale") * lit)).astype(np.complex64)
    legacy.set("probe", stored[0] if len(stored) == 1 else stored)
    return stored

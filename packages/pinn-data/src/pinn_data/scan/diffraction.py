"""Diffraction stacks: their unit (counts, intensity, amplitude), conversions, and scale factors.

A stack is ``(frame, N, N)`` with the zero frequency at ``[N/2, N/2]``, and is one of

* ``counts``: detected photons per pixel, whole numbers;
* ``intensity``: any real number proportional to counts, for instance their expectation;
* ``amplitude``: ``sqrt(intensity)``.

Everything here walks over the frames in blocks, so that the temporary memory does not grow with the scan, and
squares in float64 (squares of uint16 overflow).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pinn_config.quoting import one_line

from pinn_data.errors import DataRangeError, EmptyScanError, ShapeError, UnitError
from pinn_data.scan.stored_patterns import StoredPatterns

Unit = Literal["counts", "intensity", "amplitude"]
UNITS: tuple[str, ...] = get_args(Unit)

Stack = NDArray[Any] | StoredPatterns

#: Smallest side of a pattern, pixels.
SMALLEST_N = 4

_BLOCK_PIXELS = 2**20  # 8 MiB of float64 a block
_WHOLE_IN_FLOAT32 = 2**24  # float32 holds every whole number up to here
# a = float32(sqrt(k)) has a relative error of at most 2**-24, so a**2 lies within 2**-23 of k; the count
# comes back by rounding as long as k * 2**-23 < 1/2.
_COUNTS_IN_FLOAT32_AMPLITUDE = 2**22
_SNAP = 2.0**-22
_LEAST_LIGHT, _MOST_LIGHT = 0.1, 1.5  # that a sample lets through, where nobody says what was measured


def check_unit(unit: str) -> Unit:
    """The unit in its canonical spelling; raises UnitError for any but the three in :data:`UNITS`."""
    name = str(unit).strip().lower()
    if name not in UNITS:
        raise UnitError(
            f"diffraction unit {one_line(repr(unit), 60)} is unknown: use 'counts', 'intensity' or "
            "'amplitude'"
        )
    return cast(Unit, name)


def check_stack_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """(frames, N) of a diffraction stack of that shape; raises ShapeError or EmptyScanError."""
    if len(shape) != 3:
        raise ShapeError(
            f"the diffraction patterns have shape {shape}, but three axes (frames, N, N) are needed"
        )
    frames, rows, columns = shape
    if frames == 0:
        raise EmptyScanError(
            "the scan holds no diffraction pattern, but at least one is needed: check the file"
        )
    if rows != columns:
        raise ShapeError(
            f"the diffraction patterns are {rows} x {columns}, but square ones are needed: crop or pad them"
        )
    if rows % 2 or rows < SMALLEST_N:
        raise ShapeError(
            f"the diffraction patterns are {rows} x {rows}, but an even size of at least {SMALLEST_N} is "
            "needed (networks take 64, 128 or 256): crop or pad them"
        )
    return frames, rows


def frame_blocks(stack: Stack) -> Iterator[slice]:
    """Slices over the first axis that together cover `stack`, each about a million pixels."""
    frame_pixels = max(1, math.prod(stack.shape[1:]))
    step = max(1, _BLOCK_PIXELS // frame_pixels)
    for start in range(0, len(stack), step):
        yield slice(start, min(start + step, len(stack)))


def is_whole(stack: Stack) -> bool:
    """Whether every number is a whole one; stops at the first block that holds another."""
    if stack.dtype.kind in "iu":
        return True
    numbers = (stack[block] for block in frame_blocks(stack))
    return all(bool((block == np.rint(block)).all()) for block in numbers)


def holds_counts(stack: Stack, unit: str) -> bool:
    """Whether the stack tells how many photons were counted: its squares (of amplitudes) or its numbers are
    whole, within what float32 rounds.

    Stops at the first block that holds another number.  Raises UnitError for an unknown unit.
    """
    known = check_unit(unit)
    if known == "counts":
        return True
    if known == "intensity":
        return is_whole(stack)
    squares = (np.square(stack[block], dtype=np.float64) for block in frame_blocks(stack))
    return all(bool((np.abs(s - np.rint(s)) <= _SNAP * np.rint(s)).all()) for s in squares)


def detect_unit(stack: Stack, label: str | None = None, probe: ArrayLike | None = None) -> Unit:
    """What a stack holds: its `label` where it has one, else the rule of the format.

    Rule without a label: an integer dtype, or floats that are all whole numbers, are counts.  Everything else
    is amplitude, unless the light of a probe ([modes,] N, N) in sqrt(counts) says that the numbers themselves
    are the light (:func:`unit_of_fractions`).  A label wins over the rule, but ``counts`` must be whole.

    Raises UnitError for an unknown label, and for counts with fractions.
    """

    def fractions() -> Unit:
        if probe is None or holds_counts(stack, "amplitude"):
            return "amplitude"
        mean, mean_squares = (measured_nphotons(stack, unit) for unit in ("intensity", "amplitude"))
        return unit_of_fractions(mean, mean_squares, probe)

    return unit_of(lambda: is_whole(stack), label, fractions)


def unit_of(
    whole: Callable[[], bool], label: str | None = None, fractions: Callable[[], Unit] = lambda: "amplitude"
) -> Unit:
    """The unit by the rule of :func:`detect_unit`; `whole` tells whether every number is a whole one, and
    `fractions` what others are."""
    if label is None:
        return "counts" if whole() else fractions()
    unit = check_unit(label)
    if unit == "counts" and not whole():
        raise UnitError(
            "the diffraction patterns are labelled 'counts' but hold fractions, and counts are whole "
            "numbers: label them 'intensity' or 'amplitude'"
        )
    return unit


def unit_of_fractions(mean: float, mean_squares: float, probe: ArrayLike) -> Unit:
    """Whether numbers that are not whole are amplitudes or intensities, told by the light of the probe.

    mean, mean_squares : means over the frames of the sum of a pattern, and of its squares

    A sample lets a part of the light through, never much more than all. Intensities are found where that
    holds of the sum, and not even within a factor of ten of the squares; else the numbers are amplitudes, as
    the format says.
    """
    light = float(np.sum(np.square(np.abs(np.asarray(probe, np.complex128)))))
    if not (math.isfinite(light) and light > 0):
        return "amplitude"
    as_intensity, as_amplitude = mean / light, mean_squares / light
    fits = _LEAST_LIGHT <= as_intensity <= _MOST_LIGHT
    return "intensity" if fits and not 0.1 * _LEAST_LIGHT <= as_amplitude <= 10 * _MOST_LIGHT else "amplitude"


def reason_for_unit(dtype: np.dtype[Any], label: str | None, unit: str | None = None) -> str:
    """Why a stack was taken for what :func:`detect_unit` found, in words."""
    if label is not None:
        return "as labelled"
    return f"no label, {dtype} values" + (", whose sum is the probe's light" if unit == "intensity" else "")


def check_values(stack: Stack, first_frame: int = 0) -> None:
    """Refuse what no detector measures.  Needs no temporary array.

    first_frame : number of the first frame, of a stack that is a part of a larger one

    Raises DataRangeError, naming the first frame with NaN, infinity or a negative number.
    """
    if stack.dtype.kind not in "iuf":
        raise DataRangeError(
            f"the diffraction patterns have dtype {stack.dtype}, but real numbers are needed: store counts "
            "as integers or amplitudes as float32"
        )
    if stack.dtype.kind == "u":
        return
    for block in frame_blocks(stack):
        if not _is_measurable(stack[block]):
            frame = next(i for i in range(block.start, block.stop) if not _is_measurable(stack[i]))
            low = stack[frame].min()
            what = f"the negative value {low:g}" if low < 0 and np.isfinite(low) else "NaN or infinity"
            raise DataRangeError(
                f"diffraction pattern {first_frame + frame} holds {what}, but every pixel must be a finite "
                "number not below 0: mark the pixel in bad_pixels or drop the frame"
            )


def _is_measurable(patterns: NDArray[Any]) -> bool:
    # NaN passes through min and fails every comparison.
    return bool(patterns.min() >= 0) and bool(np.isfinite(patterns.max()))


def amplitude_dtype(stack: Stack, unit: str) -> np.dtype[Any]:
    """The dtype whose amplitudes give the counts of `stack` back exactly: float32; from 2**22 on, float64."""
    if unit == "amplitude" or not len(stack) or _largest(stack) < _COUNTS_IN_FLOAT32_AMPLITUDE:
        return np.dtype(np.float32)
    return np.dtype(np.float64)


def convert_block(block: NDArray[Any], unit: Unit, wanted: Unit) -> NDArray[Any]:
    """One block of frames in another unit: float64 where something is computed, else the block itself.

    ``counts`` from amplitudes: a square within float32 rounding (relative 2**-22) of a whole number is that
    number.
    """
    if wanted == "amplitude":
        return block if unit == "amplitude" else np.sqrt(block, dtype=np.float64)
    if unit != "amplitude":
        return block
    squares = np.square(block, dtype=np.float64)
    whole = np.rint(squares)
    return np.where(np.abs(squares - whole) <= _SNAP * whole, whole, squares)


def to_amplitude(stack: Stack, unit: str) -> NDArray[np.float32]:
    """Amplitudes (frame, N, N) float32 of a stack in `unit`.

    A float32 amplitude stack comes back as it is, without a copy.  Raises UnitError for an unknown unit.
    """
    known = check_unit(unit)
    if known == "amplitude":
        return np.asarray(stack).astype(np.float32, copy=False)
    return _converted(stack, known, "amplitude", np.dtype(np.float32))


def to_counts(stack: Stack, unit: str) -> NDArray[Any]:
    """Counts (frame, N, N), the squares of amplitudes, for a stack in `unit`.

    Counts and intensities come back as they are (their dtype too), without a copy.  From amplitudes: float32,
    or float64 where a count is above 2**24, which float32 cannot hold exactly; ``to_counts(to_amplitude(k))
    == k`` for whole numbers below 2**22.  Raises UnitError for an unknown unit.
    """
    known = check_unit(unit)
    if known != "amplitude":
        return np.asarray(stack)
    large = len(stack) > 0 and _largest(stack) ** 2 > _WHOLE_IN_FLOAT32
    return _converted(stack, known, "counts", np.dtype(np.float64 if large else np.float32))


def _largest(stack: Stack) -> float:
    return max(float(stack[block].max()) for block in frame_blocks(stack))


def _converted(stack: Stack, unit: Unit, wanted: Unit, dtype: np.dtype[Any]) -> NDArray[Any]:
    out = np.empty(stack.shape, dtype=dtype)
    for block in frame_blocks(stack):
        out[block] = convert_block(stack[block], unit, wanted)
    return out


def frame_energies(stack: Stack, unit: str) -> NDArray[np.float64]:
    """Total of each frame in counts or intensity, (frame,) float64: ``sum(amplitude**2)``.

    Raises ShapeError unless the stack is (frame, N, N), and UnitError for an unknown unit.
    """
    known = check_unit(unit)
    if stack.ndim != 3:
        raise ShapeError(f"a diffraction stack has shape {stack.shape}, but (frames, N, N) is needed")
    out = np.empty(len(stack), dtype=np.float64)
    for block in frame_blocks(stack):
        if known == "amplitude":
            out[block] = np.square(stack[block], dtype=np.float64).sum(axis=(1, 2))
        else:
            out[block] = stack[block].sum(axis=(1, 2), dtype=np.float64)
    return out


def measured_nphotons(stack: Stack, unit: str) -> float:
    """Mean number of photons in a frame, measured from the stack (mean energy, for intensity and amplitude).

    Raises EmptyScanError without frames, and what :func:`frame_energies` raises.
    """
    energies = frame_energies(stack, unit)
    if len(energies) == 0:
        raise EmptyScanError(
            "the diffraction stack holds no frame, but at least one is needed to measure nphotons"
        )
    return float(energies.mean())


def normalisation(amplitude: Stack) -> float:
    """The scalar k that brings a stack of amplitudes to mean energy ``(N/2)**2`` per frame.

    ``mean_frames(sum_pixels((k * amplitude)**2)) == (N/2)**2``.  Computed on the training scan and kept with
    the model.

    Raises DataRangeError where every pixel is zero, and what :func:`measured_nphotons` raises.
    """
    energy = measured_nphotons(amplitude, "amplitude")
    if energy == 0:
        raise DataRangeError(
            "every diffraction pattern is zero, so it cannot be scaled to a number of photons: check the file"
        )
    return float((amplitude.shape[-1] / 2) / math.sqrt(energy))


def intensity_scale(nphotons: float, N: int) -> float:
    """What turns normalised amplitudes into measured ones: ``sqrt(nphotons) / (N/2)``.

    Raises DataRangeError unless nphotons is finite and positive.
    """
    if not (math.isfinite(nphotons) and nphotons > 0):
        raise DataRangeError(
            f"nphotons = {nphotons} is not a number of photons: give a finite number above 0"
        )
    return math.sqrt(nphotons) / (N / 2)

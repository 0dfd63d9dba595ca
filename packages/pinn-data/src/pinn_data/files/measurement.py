"""A measurement as a beamline leaves it, and the scan that it becomes.

Frames of any size with a mask, stage positions and the geometry of the experiment go in; patterns of N x N
pixels with the zero frequency at ``[N/2, N/2]``, positions in object pixels and a probe come out. Whatever
had to be assumed on the way is said in words, and kept in the metadata of the scan.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from pinn_data.errors import DataKeyError, DataRangeError, PositionError, ShapeError
from pinn_data.files.detector_masks import check_sense
from pinn_data.files.frame_stack import Advance, FrameStack
from pinn_data.scan.detector_window import DetectorWindow, beam_centre, is_corner_centred
from pinn_data.scan.diffraction import Stack, Unit, convert_block, detect_unit, frame_blocks, is_whole
from pinn_data.scan.far_field import FarField, near_field_signs, photon_energy_eV
from pinn_data.scan.inpainting import inpainted
from pinn_data.scan.probe_guess import probe_from_patterns
from pinn_data.scan.scan import Scan
from pinn_data.scan.stage_positions import StageConvention
from pinn_data.scan.unmeasured import measured_part

__all__ = ["Framing", "Measurement", "ProbeChoice", "measured_scan"]


@attrs.frozen(eq=False)
class Measurement:
    """What was recorded.

    frames : (n, H, W)
    recorded : (n, 2) as (y, x) along the rows and columns of the frames, in the unit of `stage`
    stage : what the recorded positions mean
    geometry : None where the object pixel is known otherwise
    probe : one that came with it, ([modes,] N, N)
    beam_px : (y, x) of the beam on the detector, where that is known
    said : what was found and assumed so far, a sentence each
    object : (H, W) complex, in the pixels of positions in 'px'
    chosen : rising numbers of the frames that have a position; None for all
    far_field_is_given : whether a person, not the file, says that this is a far field
    holds_intensities : whether the format says so; numbers with fractions are amplitudes otherwise, unless
        the probe says that they are not
    """

    frames: FrameStack
    recorded: NDArray[np.float64]
    stage: StageConvention
    geometry: FarField | None = None
    probe: NDArray[Any] | None = None
    beam_px: tuple[float, float] | None = None
    said: tuple[str, ...] = ()
    object: NDArray[Any] | None = None
    chosen: NDArray[np.int64] | None = None
    far_field_is_given: bool = False
    holds_intensities: bool = False


@attrs.frozen(eq=False)
class Framing:
    """How frames become patterns.

    N : side of the patterns; None where the frames have the right size already
    centre : (y, x) of the zero frequency on the detector, pixels from 0
    zero_frequency : 'centre' or 'corner', where the frames have it; None for the centre, if they look so
    mask : pixels that were not measured, of the detector (H, W) or of the patterns (N, N), besides those that
        the file masks
    file_mask : whether the mask in the file of the frames is taken
    invert_mask : whether that one marks good pixels
    unit : what the frames are, if they do not tell
    """

    N: int | None = None
    centre: tuple[float, float] | None = None
    zero_frequency: Literal["centre", "corner"] | None = None
    mask: NDArray[np.bool_] | None = None
    file_mask: bool = True
    invert_mask: bool = False
    unit: str | None = None


@attrs.frozen(eq=False)
class ProbeChoice:
    """Where the probe comes from: `given`, or made from the patterns where `guess`, for a sample that lies
    `defocus_m` behind the focus."""

    given: NDArray[Any] | None = None
    guess: bool = False
    defocus_m: float = 0.0


def measured_scan(
    measurement: Measurement,
    framing: Framing | None = None,
    probe: ProbeChoice | None = None,
    *,
    object_pixel_m: float | None = None,
    advance: Advance = lambda frames: None,
) -> tuple[Scan, list[str]]:
    """The scan of a measurement, and all that was found and assumed, a sentence each.

    object_pixel_m : instead of that of the far field
    advance : called with the number of frames just read

    Positions in a length are moved so that all patches lie at non-negative object pixels:
    ``position_m = origin_m + pixel_size_m * position``, with both in the metadata.

    Raises ShapeError (size of the frames, positions), DataKeyError (geometry, probe), DataRangeError (a near
    field; numbers out of range), and what reading the frames raises.
    """
    framing, probe = framing or Framing(), probe or ProbeChoice()
    frames, said = measurement.frames, list(measurement.said)
    count = len(frames) if measurement.chosen is None else len(measurement.chosen)
    if len(measurement.recorded) != count:
        raise ShapeError(
            f"there are {len(measurement.recorded)} positions for {count} frames ({frames.source}), but "
            "each frame needs exactly one: add the missing ones or remove the extra ones"
        )
    if measurement.probe is None and probe.given is None and not probe.guess:
        raise DataKeyError(
            f"{frames.source} has no probe, but a scan needs one: give --probe FILE, or --guess-probe to "
            "make one from the mean pattern"
        )
    mask = _mask(frames, framing, said)
    window = _window(measurement, framing, mask, said, advance)
    brought = None if probe.guess else measurement.probe if probe.given is None else probe.given
    if brought is not None and brought.shape[-2:] != (window.N, window.N):
        raise ShapeError(
            f"the probe has shape {brought.shape}, but the patterns of {frames.source} become {window.N} x "
            f"{window.N}: crop them with --size, or give another --probe"
        )
    pixel = _object_pixel(measurement, window.N, object_pixel_m, said)
    said.append(f"positions {measurement.stage.words}")
    positions, origin = _positions(measurement, pixel, window.N)
    found = measured_part(
        frames.windowed(window, measurement.chosen, advance), _mask_of_patterns(framing, window, mask)
    )
    patterns, bad = found.stack, found.bad_pixels
    said.extend(found.said)
    if bad is None and frames.mask is None and not found.said:
        said.append("no mask and no bad-pixel marker: all pixels are used")
    unit = _unit(measurement, framing, patterns, brought)
    said.append(f"patterns taken as {unit}" + ("" if framing.unit else f" ({patterns.dtype})"))
    holes = None if bad is None else _holes(bad, window)
    mean = _mean_intensity(patterns, unit, bad, holes)
    if framing.zero_frequency is None and is_corner_centred(mean):
        raise DataRangeError(
            f"{frames.source}: the light lies in the corners of the patterns, so their zero frequency seems "
            "to be at [0, 0]: give --zero-frequency corner, or centre if it is not"
        )
    numbers = np.arange(count) if measurement.chosen is None else measurement.chosen
    parts: dict[str, Any] = {}
    if found.kept is not None:
        positions, parts["scan_index"] = positions[found.kept], numbers[found.kept]
    _refuse_near_field(measurement, patterns, holes, unit, positions, pixel, object_pixel_m, said)
    metadata: dict[str, Any] = {"conversion": {"source": frames.source, "said": said}}
    if pixel is not None:
        metadata["pixel_size_m"] = pixel
    if measurement.geometry is not None:
        metadata["detector_distance_m"] = measurement.geometry.distance_m
        metadata["photon_energy_eV"] = photon_energy_eV(measurement.geometry.wavelength_m)
        metadata["detector_pixel_m"] = list(measurement.geometry.detector_pixel_m)
    if origin is not None:
        metadata["origin_m"] = origin
    scan = Scan(
        diffraction=patterns,
        unit=unit,
        positions=positions,
        probe=_probe(measurement, probe, mean, pixel, said),
        object=measurement.object,
        metadata=metadata,
        bad_pixels=bad,
        background=_background(frames, window, bad),
        **parts,
    )
    return scan, said


def _unit(measurement: Measurement, framing: Framing, patterns: Stack, probe: NDArray[Any] | None) -> Unit:
    if framing.unit is None and measurement.holds_intensities:
        return "counts" if is_whole(patterns) else "intensity"
    return detect_unit(patterns, framing.unit, probe)


def _background(
    frames: FrameStack, window: DetectorWindow, bad: NDArray[np.bool_] | None
) -> NDArray[np.float64] | None:
    """That of the patterns; where a pixel is bad in every one of them, what the file says is not read."""
    if frames.background is None or frames.background.ndim == 0:
        return frames.background
    cut = np.zeros((1, window.N, window.N))
    window.cut(frames.background[None], cut)
    return cut[0] if bad is None else np.where(_never(bad), 0.0, cut[0])


def _never(bad: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return bad if bad.ndim == 2 else np.all(bad, axis=0)


def _holes(bad: NDArray[np.bool_], window: DetectorWindow) -> NDArray[np.bool_]:
    """Bad pixels that lie on the detector: beyond its edge little light is missed."""
    outside = window.cut_mask(None)
    return bad if outside is None else bad & ~outside


def _mask_of_patterns(
    framing: Framing, window: DetectorWindow, mask: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    bad = window.cut_mask(mask)
    if framing.mask is None or framing.mask.shape == window.shape:
        return bad
    return framing.mask if bad is None else bad | framing.mask


def _mask(frames: FrameStack, framing: Framing, said: list[str]) -> NDArray[np.bool_] | None:
    """(H, W): what the file and a person exclude on the detector."""
    own = _mask_in_file(frames, framing, said)
    given = framing.mask
    if given is None:
        return own
    said.append(f"{int(given.sum())} pixel(s) excluded by the given mask")
    if given.shape == frames.frame_shape:
        return given if own is None else own | given
    if framing.N is None or given.shape != (framing.N, framing.N):
        raise ShapeError(
            f"the mask has shape {given.shape}, but the frames of {frames.source} are {frames.shape[1]} x "
            f"{frames.shape[2]}: give one of that size, or of the patterns' (--size)"
        )
    return own


def _mask_in_file(frames: FrameStack, framing: Framing, said: list[str]) -> NDArray[np.bool_] | None:
    if frames.mask is not None and not framing.file_mask:
        said.append("the mask in the file is ignored, as requested")
        return None
    if frames.mask is None:
        if framing.invert_mask:
            raise DataKeyError(f"{frames.source} has no mask to invert: leave --invert-mask out")
        return None
    mask = ~frames.mask if framing.invert_mask else frames.mask
    check_sense(
        mask,
        frames.source,
        f"give {'no ' if framing.invert_mask else ''}--invert-mask if it marks good pixels, or --mask none "
        "to ignore it",
    )
    count = int(mask.sum())
    said.append(f"{count or 'no'} pixel(s) excluded by the mask in the file")
    return mask if mask.any() else None


def _window(
    measurement: Measurement,
    framing: Framing,
    mask: NDArray[np.bool_] | None,
    said: list[str],
    advance: Advance,
) -> DetectorWindow:
    height, width = measurement.frames.frame_shape
    N = framing.N
    if N is None:
        if height != width or height % 2:
            even = min(height, width) // 2 * 2
            raise ShapeError(
                f"the frames of {measurement.frames.source} are {height} x {width}, but square ones of an "
                f"even size are needed: crop or pad them with --size, for instance --size {even}"
            )
        N = height
    corner = framing.zero_frequency == "corner"
    middle = (height // 2, width // 2)
    if framing.centre is not None:
        centre, why = framing.centre, "as given"
    elif corner:
        centre, why = middle, "shifted there from the corner"
    elif measurement.beam_px is not None:
        centre, why = measurement.beam_px, "the beam centre in the file"
    elif (height, width) == (N, N):
        centre, why = middle, "the middle of the frames"
    else:
        mean = measurement.frames.mean(mask, advance)
        centre, why = beam_centre(mean), "the centre of mass of the mean frame"
    whole = (math.floor(centre[0] + 0.5), math.floor(centre[1] + 0.5))
    window = DetectorWindow((height, width), whole, N, corner)
    rounded = "" if whole == tuple(centre) else f" ({centre[0]:.2f}, {centre[1]:.2f}, rounded)"
    said.append(f"zero frequency at detector pixel (y, x) = {whole}{rounded}, {why}")
    if not window.is_whole:
        said.append(
            f"frames of {height} x {width} cropped to {N} x {N} around it"
            + (f", {window.padded_px} pixels padded (not measured)" if window.padded_px else "")
        )
    return window


def _object_pixel(measurement: Measurement, N: int, given: float | None, said: list[str]) -> float | None:
    if given is not None:
        if not (math.isfinite(given) and given > 0):
            raise DataRangeError(
                f"an object pixel of {given:g} m was given, but a finite number above 0 is needed"
            )
        said.append(f"object pixel {given * 1e9:.4g} nm, as given")
        return given
    if measurement.geometry is None:
        if measurement.stage.unit == "px":
            return None
        raise DataKeyError(
            f"the positions are in {measurement.stage.unit}, but without a geometry they cannot be "
            "converted to object pixels: give --distance, --wavelength or --energy, and --detector-pixel, "
            "or --object-pixel"
        )
    pixel = measurement.geometry.object_pixel_m(N)
    said.append(
        f"object pixel {pixel * 1e9:.4g} nm, from the far field (wavelength * distance / (N * pixel))"
    )
    return pixel


def _positions(
    measurement: Measurement, pixel: float | None, N: int
) -> tuple[NDArray[np.float64], list[float] | None]:
    """Object pixels, and the metres of object pixel (0, 0)."""
    on_object = measurement.stage.on_object(measurement.recorded)
    if measurement.stage.unit == "px":
        return on_object, None
    assert pixel is not None  # of a length, `_object_pixel` has seen to it
    if np.ptp(on_object, axis=0).max() / pixel > 1e6:
        raise PositionError(
            f"the positions span {np.ptp(on_object, axis=0).max():.3g} m, which are "
            f"{np.ptp(on_object, axis=0).max() / pixel:.3g} object pixels of {pixel:.3g} m: check their unit "
            "(--positions-unit)"
        )
    origin = on_object.min(axis=0) - (N / 2) * pixel
    return (on_object - origin) / pixel, origin.tolist()


def _mean_intensity(
    patterns: Stack, unit: Unit, bad: NDArray[np.bool_] | None, holes: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """(N, N): mean over the frames in which a pixel was measured; holes filled from around them."""
    total = np.zeros(patterns.shape[1:])
    for block in frame_blocks(patterns):
        total += convert_block(patterns[block], unit, "intensity").sum(axis=0, dtype=np.float64)
    if bad is None or holes is None:
        return total / len(patterns)
    frames = len(patterns) if bad.ndim == 2 else (~bad).sum(axis=0)
    return inpainted(total / np.maximum(1, frames), _never(holes))


def _refuse_near_field(
    measurement: Measurement,
    patterns: Stack,
    holes: NDArray[np.bool_] | None,
    unit: Unit,
    positions: NDArray[np.float64],
    pixel: float | None,
    given: float | None,
    said: list[str],
) -> None:
    if measurement.geometry is None or pixel is None:
        return
    N = patterns.shape[-1]
    far = measurement.geometry.object_pixel_m(N)
    signs = near_field_signs(patterns, unit, positions * (pixel / far), holes)
    if not signs:
        return
    why = "; ".join(signs)
    if given is None and not measurement.far_field_is_given:
        raise DataRangeError(
            f"{measurement.frames.source} looks like a near-field measurement, which the far-field model "
            f"does not describe ({why}): to convert it nevertheless, give --object-pixel METRES, "
            f"in the far field {far:.4g}"
        )
    said.append(f"looks like a near-field measurement, which the far-field model does not describe: {why}")


def _probe(
    measurement: Measurement,
    choice: ProbeChoice,
    mean: NDArray[np.float64],
    pixel: float | None,
    said: list[str],
) -> NDArray[Any]:
    if choice.given is not None:
        said.append("probe as given")
        return choice.given
    if choice.guess:
        defocus = 0.0
        words = "probe estimated as the inverse Fourier transform of the mean amplitude"
        if choice.defocus_m:
            if pixel is None or measurement.geometry is None:
                raise DataKeyError(
                    "a defocus in metres needs the geometry: give --distance, --wavelength or --energy, and "
                    "--detector-pixel"
                )
            defocus = measurement.geometry.wavelength_m * choice.defocus_m / pixel**2
            words += f", {choice.defocus_m:g} m behind the focus"
        said.append(words)
        return probe_from_patterns(mean, defocus)
    assert measurement.probe is not None  # looked for before anything was read
    said.append("probe as in the file")
    return measurement.probe

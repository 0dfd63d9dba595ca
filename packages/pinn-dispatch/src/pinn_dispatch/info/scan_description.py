"""A scan in words: what was measured, how it is understood, and whether something looks wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pinn_data.checks.scan_summary import ScanSummary, light_diameter, summarise_scan
from pinn_data.optics.probe import probe_modes
from pinn_data.run.pictures import flat_phase
from pinn_data.scan.positions import canvas_for

from pinn_dispatch.info.description import Description, Picture, words_of

__all__ = ["describe_scan", "probe_picture", "probe_words", "span_words"]


def describe_scan(path: Path) -> Description:
    """The scan in an NPZ file; its patterns are read in pieces.

    Raises what `pinn_data.files.npz.read_scan` raises.
    """
    scan = summarise_scan(path)
    canvas = canvas_for(scan.positions, scan.N)
    diameter = light_diameter(scan.probe)
    overlap = None if scan.spacing is None else max(0.0, 1 - scan.spacing / diameter)
    bad = float(scan.bad_pixels.sum())
    words = {
        "patterns": f"{scan.frames} of {scan.N} x {scan.N} pixels, taken as {scan.unit} ({scan.reason})",
        "not measured": "; ".join([_bad_words(scan), *scan.said]) if bad or scan.said else "nothing",
        "photons": _photons(scan),
        "light": _light(scan),
        "positions": span_words(scan.positions),
        "overlap": "a single position"
        if overlap is None
        else f"{100 * overlap:.0f} % of the probe's diameter, nearest neighbours {scan.spacing:.1f} pixels "
        "apart",
        "canvas": f"{canvas.shape[0]} x {canvas.shape[1]} pixels hold every pattern",
        "probe": probe_words(scan.probe),
        "object": "none"
        if scan.object is None
        else f"{scan.object.shape[0]} x {scan.object.shape[1]} pixels ({scan.object.dtype})",
    }
    if scan.background is not None:
        words["background"] = f"{scan.background.mean():.4g} counts per pixel"
    if scan.scan_indices > 1:
        words["scans"] = f"{scan.scan_indices} in one file (scan_index)"
    for number, finding in enumerate(scan.findings, 1):
        words[f"warning {number}"] = finding.sentence
    facts = {
        "patterns": scan.frames,
        "N": scan.N,
        "dtype": str(scan.dtype),
        "unit": scan.unit,
        "unit_because": scan.reason,
        "holds_counts": scan.holds_counts,
        "photons_mean": float(scan.photons.mean()),
        "photons_lowest": float(scan.photons.min()),
        "photons_highest": float(scan.photons.max()),
        "empty_patterns": scan.empty + int((scan.photons == 0).sum()),
        "bad_pixels": bad,
        "background": None if scan.background is None else float(scan.background.mean()),
        "largest_value": scan.largest,
        "silent_pixels": int(scan.silent_pixels.sum()),
        "dead_pixels": int(scan.dead_pixels.sum()),
        "centre_of_light": scan.centre_of_light,
        "positions_low": scan.positions.min(axis=0),
        "positions_high": scan.positions.max(axis=0),
        "spacing": scan.spacing,
        "overlap": overlap,
        "canvas_origin": canvas.origin,
        "canvas_shape": canvas.shape,
        "probe_modes": len(probe_modes(scan.probe)),
        "probe_diameter": diameter,
        "object_shape": None if scan.object is None else scan.object.shape,
        "scans": scan.scan_indices,
        "metadata": dict(scan.metadata),
        "findings": [
            {"level": finding.level, "name": finding.name, "sentence": finding.sentence}
            for finding in scan.findings
        ],
    }
    return Description(path, "scan", words | words_of(scan.metadata), facts, _pictures(scan))


def span_words(positions: Any) -> str:
    """From where to where positions (n, 2) as (y, x) reach, in words."""
    (y0, x0), (y1, x1) = positions.min(axis=0), positions.max(axis=0)
    return f"{len(positions)}, y {y0:.1f} to {y1:.1f}, x {x0:.1f} to {x1:.1f} object pixels"


def probe_words(probe: Any) -> str:
    """Modes, size and light of a probe ([modes,] N, N), in words."""
    modes = probe_modes(probe)
    power = np.sum(np.abs(modes.astype(np.complex128)) ** 2, axis=(1, 2))
    text = f"{len(modes)} mode{'s' if len(modes) > 1 else ''} of {modes.shape[1]} x {modes.shape[2]} pixels"
    if not (np.isfinite(power).all() and power.any()):
        return f"{text}, {'dark' if np.isfinite(power).all() else 'not finite'}"
    if len(modes) > 1:
        text += f" ({', '.join(f'{100 * p:.0f}' for p in power / power.sum())} % of the light)"
    return f"{text}, 90 % of it within {light_diameter(modes):.0f} pixels"


def probe_picture(probe: Any) -> Picture:
    """The mode of a probe ([modes,] N, N) with most light."""
    modes = probe_modes(probe)
    power = np.sum(np.abs(modes.astype(np.complex128)) ** 2, axis=(1, 2))
    return Picture("probe", "complex", modes[int(np.argmax(power))])


def _photons(scan: ScanSummary) -> str:
    low, mean, high = scan.photons.min(), scan.photons.mean(), scan.photons.max()
    text = f"{mean:.4g} per pattern, {low:.3g} to {high:.3g}; the largest value is {scan.largest:.5g}"
    empty = int((scan.photons == 0).sum())
    if not scan.holds_counts:
        text += "; not whole counts, so this is an energy"
    return text + (f"; {empty} patterns are empty" if empty else "")


def _bad_words(scan: ScanSummary) -> str:
    share = scan.bad_pixels
    always, some = int((share == 1).sum()), int(((share > 0) & (share < 1)).sum())
    return f"{always} of {scan.N**2} pixels" + (f", and {some} in some patterns" if some else "")


def _light(scan: ScanSummary) -> str:
    y, x = scan.centre_of_light
    silent, dead = int(scan.silent_pixels.sum()), int(scan.dead_pixels.sum())
    text = f"centred at y {y:.1f}, x {x:.1f} of the mean pattern"
    if silent:
        text += f"; {silent} of {scan.N**2} pixels never counted"
    return text + (
        f", {dead} of them in bright areas, so probably dead: mask them with --mask" if dead else ""
    )


def _pictures(scan: ScanSummary) -> tuple[Picture, ...]:
    pictures = [
        Picture("mean pattern", "pattern", scan.mean_pattern, "log10"),
        Picture("positions", "positions", scan.positions, "object pixels"),
        probe_picture(scan.probe),
    ]
    if scan.object is not None:
        known = scan.object != 0
        pictures.append(Picture("object, phase", "phase", flat_phase(scan.object, known), "rad", known))
    return tuple(pictures)

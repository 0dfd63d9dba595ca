"""CPU seconds a pattern and peak memory of the solver, from 1e3 to 1e5 patterns that stay in their file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from pinn_data.files.npz import write_scan
from pinn_data.scan.scan import Scan
from pinn_data.simulation.simulate import jittered_raster, simulate_scan

from benchmarks.children import run_child
from benchmarks.line import Line
from benchmarks.measured_scans import PROBES, N, grains
from benchmarks.reconstructors import single

__all__ = ["scaling", "write_grains"]

_FRAMES = (1_000, 10_000, 100_000)
_STEP, _JITTER, _PHOTONS = 6.0, 2.0, 1e5
_LARGEST_AREA = 10_000  # frames of one visit, where the area is not to grow


def write_grains(folder: Path, target: str, frames: int, visits: int) -> list[Line]:
    """Write a scan of grains: so many frames, in so many visits of the same area."""
    rng = np.random.default_rng([frames, visits])
    each = -(-frames // visits)
    side = int(np.ceil(np.sqrt(each)))
    size = int(np.ceil((side - 1) * _STEP + 2 * _JITTER)) + N + 1
    visited = [jittered_raster((size, size), N, _STEP, _JITTER, rng)[:each] for _ in range(visits)]
    probe, _ = PROBES["lens"]()
    positions = np.concatenate(visited)[:frames]
    scan = simulate_scan(grains(size, rng), probe, positions, photons=_PHOTONS, rng=rng)
    blind = Scan(scan.diffraction, scan.unit, scan.positions, scan.probe)
    write_scan(Path(target), blind, unit="counts")
    return [Line("scan", f"{size} x {size} pixels", numbers={"canvas_mib": size**2 * 8 / 2**20})]


def scaling(folder: Path, wide: bool, engine: str = "numpy") -> list[Line]:
    """Largest of the CPU seconds a pattern over the smallest, and memory at 1e5 frames over that at 1e4.

    wide : whether the area grows with the frames, and the canvas of the image with it; else 1e5 frames are
        ten visits of the area of 1e4
    """
    per_frame, peak, canvas = [], [], []
    for frames in _FRAMES:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            target = str(Path(name) / "scan.npz")
            visits = 1 if wide else max(1, frames // _LARGEST_AREA)
            made = run_child(
                "solver_scaling:write_grains", folder, {"target": target, "frames": frames, "visits": visits}
            )
            state = single(engine, Path(target), in_file=True)
        per_frame.append(state.cpu_s / frames)
        peak.append(state.memory_mib[1])
        canvas.append(made[0].numbers["canvas_mib"])
    area = "area grows" if wide else "one area"
    each = ", ".join(f"{1e3 * spent:.2f}" for spent in per_frame)
    memory = ", ".join(f"{mib:.0f}" for mib in peak)
    numbers = {"frames": _FRAMES, "cpu_s_per_frame": per_frame, "peak_mib": peak, "canvas_mib": canvas}
    frames_text = ", ".join(f"{frames:.0e}" for frames in _FRAMES)
    return [
        Line(
            f"solver, {frames_text} frames, {area}: CPU",
            f"{each} ms a frame",
            max(per_frame) / min(per_frame),
            "the smallest",
            ("<=", 1.3),
            numbers=numbers,
        ),
        Line(
            f"solver, {frames_text} frames, {area}: memory",
            f"{memory} MiB",
            peak[-1] / peak[-2],
            "that of 1e4 frames",
            ("<=", 1.2),
            f"canvas {', '.join(f'{mib:.0f}' for mib in canvas)} MiB in complex64",
            peak[-1],
            numbers,
        ),
    ]

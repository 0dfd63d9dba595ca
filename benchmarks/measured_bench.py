"""Our solver beside pty-chi on the simulated scan of 1024 patterns whose probe is exact."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from pinn_data.metrics.scores import evaluate

from benchmarks.line import Line
from benchmarks.reconstructors import PTYCHI, MissingEngine, State, single, typical
from benchmarks.shared_data import bench_scan

__all__ = ["bench"]

_EPOCHS = 40  # of pty-chi: from there on its image changes little
# Share of pty-chi's CPU seconds, and SSIM of amplitude and phase to reach in them.
_WANTED = ((1 / 15, (0.94, 0.975)), (1 / 8, (0.955, 0.98)))
_STOP = 0.9  # of the first share: what a run is told that must end within it


def bench(folder: Path, engine: str = "numpy") -> list[Line]:
    """Quality that we reach in a fifteenth and in an eighth of pty-chi's CPU seconds for 40 epochs."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        scan = bench_scan(Path(name))
        if scan is None:
            return [
                Line("bench, exact probe", "not measured", beside="its script is not beside the checkout")
            ]
        with np.load(scan) as file:
            truth, roi = file["objectGuess"], file["roi"]
            # Neither engine may start from the truth, and ours reads one stack, not two names of one.
            kept = {key: file[key] for key in file.files if key not in ("objectGuess", "diffraction", "roi")}
        blind = Path(name) / "scan.npz"
        np.savez(blind, **kept, diffraction_unit=np.array("amplitude"))

        def quality(state: State) -> tuple[float, float]:
            scores = evaluate(state.object, truth, roi=roi, guess=state.corner, remove_ramp=True)
            return scores["ssim_amp"], scores["ssim_phase"]

        seconds, theirs = None, ""
        try:
            other = single(PTYCHI, blind, epochs=[_EPOCHS])
        except MissingEngine as error:
            theirs = str(error)
        else:
            seconds = other.cpu_s
            theirs = f"pty-chi {_text(quality(other))} in {seconds:.1f} s"
        lines = []
        for share, wanted in _WANTED:
            # The second is the solver as it is; the first is stopped.
            limit = _STOP * seconds * share if seconds is not None and share == _WANTED[0][0] else None
            state = typical(engine, blind, seconds=limit)
            ours = quality(state)
            what = f"bench, exact probe, {engine}" + (", stopped" if limit else "")
            share_reached = min(a / b for a, b in zip(ours, wanted, strict=True))
            lines.append(
                Line(f"{what}: SSIM", _text(ours), share_reached, _text(wanted), (">=", 1.0), theirs)
            )
            ratio = None if seconds is None else state.cpu_s / seconds
            bound = ("<=", share)
            lines.append(
                Line(f"{what}: CPU seconds", f"{state.cpu_s:.2f} s", ratio, "pty-chi", bound, theirs)
            )
        return lines


def _text(quality: tuple[float, float]) -> str:
    return f"{quality[0]:.3f} / {quality[1]:.3f}"

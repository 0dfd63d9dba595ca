"""Whether an image is to be trusted: how much the solver left unexplained, beside what counting noise leaves.

R alone gives no alarm: its value depends on the dose. :func:`judge` compares it with what it would be if only
counting noise were left, and asks the frames that were held out. The limits were set with simulated scans of
known truth and a measured Siemens star; ``docs/verdict.md`` explains each sentence.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import attrs
import numpy as np

from pinn_data.scan.scan import Scan
from pinn_data.solver.solution import Solution

__all__ = ["Level", "Verdict", "judge"]

Level = Literal["good", "doubtful", "bad", "unknown"]

_GOOD, _BAD = 1.35, 2.0  # of the ratio
_LITTLE, _SMALL = 0.01, 0.03
"""R that is left beside the noise: so little makes no image doubtful, or bad, however bright the patterns."""
_OVERFITTED = 1.25  # held-out R over R, each over its own noise
_NO_IMAGE = 3.0  # standard errors of the gain
_LOST, _ROUGH = 0.3, 3.0
_LOST_IN_BACKGROUND = 0.6
"""Gain of the held-out frames (a logarithm of likelihoods) over the pixels that each frame adds to the image.
Scans of 1e3 counts a pattern and 36 pixels a frame have 0.4 to 0.8, with a background of 1 from 0.15 to 0.5,
and 1e5 counts about 100."""
_ODD = 4.0  # of a frame's or a pixel's misfit over the median
_MANY_MOVED_PX = 4.0


@attrs.frozen
class Verdict:
    """What to think of an image.

    level : 'good', 'doubtful' or 'bad'; 'unknown' where the patterns are no counts
    sentence : the same in words, and what to do
    ratio : R over what counting noise leaves; NaN where the patterns are no counts
    held_out_ratio : the same of frames that were held out; NaN also where none were
    advice : further sentences, each with what to do
    """

    level: Level
    sentence: str
    ratio: float
    held_out_ratio: float
    advice: tuple[str, ...] = ()

    @property
    def metadata(self) -> dict[str, Any]:
        """All of it in the types of JSON; None for NaN."""
        return {
            "level": self.level,
            "sentence": self.sentence,
            "ratio": _plain(self.ratio),
            "held_out_ratio": _plain(self.held_out_ratio),
            "advice": list(self.advice),
        }


def judge(solution: Solution, scan: Scan) -> Verdict:
    """The verdict on the image that the solver made of a scan."""
    ratio = _over(solution.residual, solution.expected_residual)
    held_out = _over(solution.held_out_residual, solution.held_out_expected)
    level, sentence = _level(solution, scan, ratio, held_out)
    return Verdict(level, sentence, ratio, held_out, tuple(_advice(solution, scan, level)))


def _level(solution: Solution, scan: Scan, ratio: float, held_out: float) -> tuple[Level, str]:
    R = solution.residual
    if not math.isfinite(R):
        return "bad", "Do not use this image: the solver diverged; check the scan with 'pinn info'."
    told = f"the misfit (R = {R:.3f}) is {ratio:.2f} times that of counting noise"
    left = math.sqrt(max(0.0, R**2 - solution.expected_residual**2)) if ratio > 0 else 0.0
    if ratio > _BAD and left > _SMALL:
        return "bad", (
            f"Do not trust this image: {told}, so positions, probe or units in the file are probably wrong; "
            "check them, and try --modes 3."
        )
    if solution.held_out_gain < _NO_IMAGE * solution.held_out_gain_error:
        if ratio > _GOOD and left > _SMALL:  # noise is not what is wrong
            return "bad", (
                f"Do not trust this image: {told}, and held-out frames are predicted no better than by the "
                "mean of all frames; check probe, background, positions and units."
            )
        return "bad", (
            "These data contain no image: held-out frames are predicted no better than by the mean of all "
            "frames; expose longer, lower the background, or check the positions."
        )
    if math.isnan(ratio):
        return "unknown", (
            f"R is {R:.3f}, but the patterns are not whole counts, so the noise level is unknown: compare "
            "with a scan that is known to be good, or give the patterns as counts."
        )
    gain = _gain_of_a_pixel(solution)
    drowned = _is_drowned(solution, scan.N)
    if gain < (_LOST_IN_BACKGROUND if drowned else _LOST):
        few = "the background is brighter than the diffraction" if drowned else "there are too few photons"
        return "bad", (
            f"The data do not allow a detailed image: {few}, so only coarse shapes can be trusted; expose "
            "longer, lower the background, or use smaller steps."
        )
    if not math.isnan(held_out) and held_out > _OVERFITTED * max(ratio, 1.0):
        return "doubtful", (
            f"This image is doubtful: held-out frames are predicted worse ({held_out:.2f} times counting "
            f"noise) than fitted ones ({ratio:.2f} times); use smaller steps or expose longer, and trust "
            "only coarse features."
        )
    if ratio > _GOOD and left > _LITTLE:
        return "doubtful", (
            f"This image is doubtful in its details: {told}; try --modes 3, or look at the frames and pixels "
            "with the largest misfit."
        )
    if gain < _ROUGH:
        return "doubtful", (
            f"This image is doubtful in its details: {told}, but there are few photons for so many pixels, "
            "so small and faint features may be noise; expose longer, or use smaller steps."
        )
    return "good", f"This image is good: {told}."


def _advice(solution: Solution, scan: Scan, level: Level) -> list[str]:
    said = []
    if solution.cancelled or solution.out_of_time:
        said.append("The solver was stopped before it finished: give it more time (--seconds).")
    frames = solution.frame_misfit
    limit = _ODD * max(float(np.median(frames)), 1.0 if not math.isnan(solution.expected_residual) else 0.0)
    odd = np.flatnonzero(frames > limit)
    if 0 < len(odd) <= len(frames) // 4:
        named = ", ".join(str(number) for number in odd[np.argsort(-frames[odd])][:5].tolist())
        said.append(
            f"{len(odd)} frames fit far worse than the others (worst first, counted from 0: {named}): look "
            "at them, and leave out bad exposures."
        )
    pixels = solution.pixel_misfit
    usual = max(float(np.nanmedian(pixels)) if np.isfinite(pixels).any() else 1.0, 1.0)
    wrong = int((np.nan_to_num(pixels) > 4 * _ODD * usual).sum())
    if level != "good" and wrong > 0.005 * scan.N**2:
        said.append(
            f"{wrong} detector pixels fit far worse than the others: look at the misfit per pixel, and mask "
            "bad pixels (--mask FILE)."
        )
    moved = np.linalg.norm(solution.positions - solution.positions_start, axis=1)
    if "positions" in solution.kept and np.sqrt(np.mean(moved**2)) > _MANY_MOVED_PX:
        said.append(
            f"The positions moved by {np.sqrt(np.mean(moved**2)):.1f} pixels (root mean square), up to "
            f"{moved.max():.1f}: check the stage, since parts of the image may be shifted."
        )
    return said


def _gain_of_a_pixel(solution: Solution) -> float:
    """NaN where it is not known."""
    pixels = np.count_nonzero(solution.coverage > 0.1 * solution.coverage.max())
    return solution.held_out_gain * len(solution.positions) / max(int(pixels), 1)


def _is_drowned(solution: Solution, N: int) -> bool:
    """Whether the background brings more counts than the diffraction."""
    transmitted = np.average(np.abs(solution.object) ** 2, weights=solution.coverage)
    light = float(np.sum(np.abs(solution.probe) ** 2) * transmitted)
    return float(np.mean(solution.background)) * N**2 > light


def _over(value: float, expected: float) -> float:
    return value / expected if expected > 0 else math.nan


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

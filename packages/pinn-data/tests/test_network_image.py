"""The image of a network, with a network that knows the object: whatever the groups and processes, it comes
out as it went in."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import attrs
import numpy as np
import pytest
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.errors import NotFiniteError, RunError
from pinn_data.grouping.pattern_stack import PatternStack
from pinn_data.optics.forward_model import diffraction_intensity
from pinn_data.optics.probe import normalised_probe, probe_modes, shifted_probes
from pinn_data.progress.reports import Cancel, CancelledError, Report
from pinn_data.run.network_image import make_image
from pinn_data.run.reconstruction_job import ReconstructionJob
from pinn_data.testing import noise_free, small_scan

N = 64


@attrs.frozen
class _Trained:
    config: TrainingConfig
    probe_trained: bool = False
    gain: float = 1.0


class _Knowing:
    """A network that knows the object; each group's canvas has a phase of its own."""

    place = "nowhere"

    def __init__(self, scan, *, broken=False):
        self.scan, self.broken = scan, broken
        self.probe = self.whole_probe = normalised_probe(probe_modes(scan.probe), N, 4.0)
        unit = np.linalg.norm(self.probe) / np.linalg.norm(scan.probe)
        # A canvas may reach beyond the object, where no pattern looks.
        self.object = np.pad(scan.object * (PatternStack(scan).scale / unit), ((0, N), (0, N)))
        self.brightest = (np.abs(self.probe) ** 2).sum(0).max()

    def windows_of(self, size, window, counting):
        def windows(batch):
            light = np.abs(shifted_probes(self.probe, batch["fractions"].reshape(-1, 2))) ** 2
            light = light.sum(1).reshape(*batch["fractions"].shape[:2], N, N)
            canvases, lights = [], []
            for centres, brightness in zip(batch["centres"], light, strict=True):
                corner = centres.min(0) - N // 2
                rows, columns = (slice(c, c + size) for c in corner)
                lit = np.zeros((size, size))
                for (y, x), own in zip(centres - centres.min(0), brightness, strict=True):
                    lit[y : y + N, x : x + N] += own
                # The phase follows from the place, so that it is the same in every batch and process.
                canvases.append(self.object[rows, columns] * np.exp(1j * corner.sum()))
                lights.append(lit / self.brightest)
            canvas = np.stack(canvases).astype(np.complex64)
            if self.broken:
                canvas[0, size // 2, size // 2] = np.nan
            arrays = [canvas, np.stack(lights).astype(np.float32)]
            if not counting.is_plain:
                arrays.append(np.ones_like(arrays[1]))
            return tuple(window.cut(array) for array in arrays)

        return windows

    def intensities(self, probe, patches, fractions, smoothing_sigma):
        predicted = [
            diffraction_intensity(
                np.pad(patch, ((0, 1), (0, 1))),
                probe,
                N // 2 + fraction[None],
                smoothing_sigma=smoothing_sigma,
            )[0]
            for patch, fraction in zip(patches, fractions, strict=True)
        ]
        return np.stack(predicted).astype(np.float32)


class _Threads:
    """Ranks that are threads: what one needs of the others lies on a board."""

    def __init__(self, rank, size, board, barrier):
        self.rank, self.size, self.board, self.barrier = rank, size, board, barrier

    @property
    def is_first(self):
        return self.rank == 0

    def part(self, count):
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def _all(self, value):
        self.board[self.rank] = value
        self.barrier.wait()
        values = [self.board[rank] for rank in range(self.size)]
        self.barrier.wait()
        return values

    def gather(self, part, count):
        whole = np.concatenate(self._all(part))
        assert len(whole) == count
        return whole if self.is_first else None

    def first(self, value):
        return self._all(value)[0]

    def add_up(self, values):
        values[...] = np.sum(self._all(values.copy()), axis=0)
        return values


def _scan():
    return noise_free(small_scan(N, rows=5, columns=4))


def _job(scan, *, gridsize=1, execution=None, **settings):
    trained = _Trained(TrainingConfig(ModelConfig(N=N, gridsize=gridsize), batch_size=3))
    config = InferenceConfig(trained.config.model, neighbor_count=3, **settings)
    return ReconstructionJob.of(
        trained, scan, config, PyTorchExecutionConfig(**(execution or {})), precision="32-true", seed=3
    )


def _error(image, scan):
    """Largest difference from the object where there is light, after the one phase that stays free."""
    (y, x), (rows, columns) = image.canvas.origin, image.canvas.shape
    truth = scan.object[y : y + rows, x : x + columns]
    seen = image.coverage > 0.02 * image.coverage.max()
    turn = np.vdot(image.object[seen], truth[seen])
    return np.abs(image.object * turn / abs(turn) - truth)[seen].max()


@pytest.mark.parametrize("gridsize", [1, 2])
@pytest.mark.parametrize(
    ("execution", "settings"),
    [({}, {}), ({"middle_trim": 20}, {"patch_weighting": "uniform"}), ({}, {"border_px": 9})],
)
def test_a_network_that_knows_the_object_gives_the_object(gridsize, execution, settings):
    scan = _scan()
    image = make_image(
        _job(scan, gridsize=gridsize, execution=execution, **settings), _Knowing(scan), Report("x")
    )
    assert _error(image, scan) < 1e-3 * np.abs(scan.object).max()
    if not execution and not settings and gridsize == 1:
        assert image.residual < 0.02
    np.testing.assert_array_equal(image.positions, scan.positions)


@pytest.mark.parametrize("size", [2, 3, 25])
def test_any_number_of_processes_makes_the_same_image(size):
    """Also where some have no group."""
    scan = _scan()
    job, network = _job(scan, gridsize=2), _Knowing(scan)
    alone = make_image(job, network, Report("x"))
    board, barrier = {}, threading.Barrier(size, timeout=60)
    with ThreadPoolExecutor(size) as pool:
        images = list(
            pool.map(
                lambda rank: make_image(job, network, Report("x"), _Threads(rank, size, board, barrier)),
                range(size),
            )
        )
    for image in images:
        np.testing.assert_allclose(image.object, alone.object, atol=1e-5 * np.abs(alone.object).max())
        np.testing.assert_allclose(image.coverage, alone.coverage, rtol=1e-5)
        assert image.residual == pytest.approx(alone.residual, rel=1e-5)


@pytest.mark.parametrize("batch", [1, 4, 1000])
def test_the_size_of_a_batch_changes_nothing(batch):
    scan = _scan()
    one = make_image(_job(scan), _Knowing(scan), Report("x"))
    other = make_image(_job(scan, execution={"inference_batch_size": batch}), _Knowing(scan), Report("x"))
    np.testing.assert_array_equal(one.object, other.object)


def test_numbers_that_are_not_finite_are_refused():
    scan = _scan()
    with pytest.raises(NotFiniteError, match="train it again with a lower learning rate"):
        make_image(_job(scan), _Knowing(scan, broken=True), Report("x"))


def test_a_watcher_stops_the_work():
    scan, told = _scan(), []

    def watcher(progress):
        told.append(progress.fraction)
        return Cancel if progress.fraction > 0.4 else None

    with pytest.raises(CancelledError, match="cancelled when 45% of it was done, so there is no image"):
        make_image(_job(scan), _Knowing(scan), Report("x", watcher))
    assert told == sorted(told) and told[0] == 0


@pytest.mark.parametrize("asked", [{"N": 32}, {"gridsize": 2}, {"probe_mask": True}])
def test_another_network_than_the_archives_is_refused(asked):
    trained = _Trained(TrainingConfig(ModelConfig(N=N)))
    scan = small_scan(asked.get("N", N))
    config = InferenceConfig(ModelConfig(**({"N": N} | asked)))
    with pytest.raises(RunError, match=r"the model was trained for N=64|another network than the archive"):
        ReconstructionJob.of(trained, scan, config, PyTorchExecutionConfig(), precision="32-true", seed=0)

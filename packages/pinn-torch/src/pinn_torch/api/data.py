"""A client's scan, prepared as its settings say."""

from __future__ import annotations

import logging
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from pinn_data.command.plain_errors import plain_errors
from pinn_data.files.npz import read_scan
from pinn_data.optics.probe import fourier_shift, probe_modes
from pinn_data.scan.diffraction import detect_unit
from pinn_data.scan.positions import from_ptychodus
from pinn_data.scan.scan import Scan
from pinn_data.scan.unmeasured import measured_part

from pinn_torch.api.configs import ConfigManager
from pinn_torch.errors import RunError
from pinn_torch.model.module import BACKGROUND
from pinn_torch.training.checkpoints import FOLDER

__all__ = ["DataloaderFormats", "PtychoDataLoader"]

_LOG = logging.getLogger(__name__)


class DataloaderFormats(Enum):
    """How data are loaded: there is one way."""

    LIGHTNING_ONLY_MODULE = "lightning_only_module"


class PtychoDataLoader:
    """The scan of a folder, for a training; `from_np` makes one of arrays, for a reconstruction.

    data_dir : folder with ``train_data.npz`` (or a single NPZ), or the NPZ itself; ``test_data.npz`` beside
        it is validated on
    output_dir : the run's own folder is made in it; an interrupted run's is used again

    `scan` holds the frames within ``x_bounds`` and ``y_bounds``; `output_dir` is the run's folder, which will
    hold ``checkpoints/``.

    Raises
    ------
    FileNotFoundError, ValueError
        No scan, or one that cannot be used; one sentence.
    """

    scan: Scan
    validation: Scan | None
    output_dir: Path | None

    def __init__(
        self,
        data_dir: Path | str,
        config_manager: ConfigManager,
        data_format: DataloaderFormats = DataloaderFormats.LIGHTNING_ONLY_MODULE,
        output_dir: Path | str = "training_outputs",
    ) -> None:
        with plain_errors():
            DataloaderFormats(data_format)
            train, test = _files(Path(data_dir))
            self.scan = prepared(_within(_read(train), config_manager), config_manager)
            self.validation = (
                prepared(_within(_read(test), config_manager), config_manager) if test is not None else None
            )
        self.output_dir = _run_folder(Path(output_dir))

    @classmethod
    def from_np(
        cls,
        diff_patterns: NDArray[Any],
        probe: NDArray[np.complexfloating],
        positions: NDArray[np.floating],
        config_manager: ConfigManager,
    ) -> PtychoDataLoader:
        """The scan of these arrays, all of its frames.

        diff_patterns : (n, N, N) counts, or amplitudes where they are not whole numbers; what marks a pixel
            that was not measured (`pinn_data.scan.unmeasured`) is left out
        probe : (N, N) or (modes, N, N) complex
        positions : (n, 2) as (y, x), ptychodus' object pixels: of the patch's middle (N - 1)/2
        """
        self = cls.__new__(cls)
        with plain_errors():
            # A frame for each position: none is dropped here.
            found = measured_part(np.asarray(diff_patterns), drop_empty=False, owned=False)
            for sentence in found.said:
                _LOG.warning("%s", sentence)
            scan = Scan(
                found.stack,
                detect_unit(found.stack, None),
                from_ptychodus(positions),
                np.asarray(probe),
                bad_pixels=found.bad_pixels,
            )
            self.scan = prepared(scan, config_manager)
        self.validation, self.output_dir = None, None
        return self


def _files(folder: Path) -> tuple[Path, Path | None]:
    if folder.is_file():
        return folder, None
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}: choose the folder that the training data were exported to"
        )
    train, test = folder / "train_data.npz", folder / "test_data.npz"
    found = sorted(folder.glob("*.npz"))
    if not train.is_file():
        if len(found) != 1:
            names = ", ".join(path.name for path in found[:4]) or "none"
            raise FileNotFoundError(
                f"{folder} has no train_data.npz and {len(found)} other .npz files ({names}): export the "
                "training data as train_data.npz"
            )
        return found[0], None
    return train, test if test.is_file() else None


def _read(path: Path) -> Scan:
    scan = read_scan(path)
    # Such files are ptychodus' exports, which count from the middle of a patch.
    return attrs.evolve(
        scan,
        positions=from_ptychodus(scan.positions),
        positions_start=from_ptychodus(scan.positions_start),
    )


def _within(scan: Scan, configs: ConfigManager) -> Scan:
    """The frames within the share of the scan's extent that the settings name."""
    bounds = np.array([configs.data_config.y_bounds, configs.data_config.x_bounds], float)
    if not (bounds[:, 0] < bounds[:, 1]).all():
        raise RunError(
            f"y_bounds={tuple(bounds[0])} and x_bounds={tuple(bounds[1])} were given, but the lower one must "
            "be below the upper one: (0, 1) takes the whole scan"
        )
    low, high = scan.positions.min(0), scan.positions.max(0)
    share = (scan.positions - low) / np.where(high > low, high - low, 1)
    inside = ((share >= bounds[:, 0]) & (share <= bounds[:, 1]) | (high <= low)).all(1)
    if not inside.any():
        raise RunError(
            f"no scan point lies within x_bounds={tuple(bounds[1])} and y_bounds={tuple(bounds[0])}: widen "
            "them"
        )
    if not inside.all():
        _LOG.info("%d of %d scan points lie within x_bounds and y_bounds", inside.sum(), len(scan))
    return scan.select(inside)


def prepared(scan: Scan, configs: ConfigManager) -> Scan:
    """The scan with the probe that the settings ask for."""
    if not configs.data_config.probe_ramp_removal:
        return scan
    return attrs.evolve(scan, probe=without_ramp(scan.probe))


def without_ramp(probe: NDArray[np.complexfloating]) -> NDArray[np.complex64]:
    """The probe without the linear phase that its modes share: the centre of mass of its far field comes to
    the zero frequency.

    probe : (N, N) or (modes, N, N) complex; the result has its shape
    """
    modes = probe_modes(probe).astype(np.complex128)
    N = modes.shape[-1]
    far = np.fft.fftshift(np.fft.fft2(modes), axes=(-2, -1))
    weight = (np.abs(far) ** 2).sum(0)
    k = np.arange(N) - N // 2
    centre = np.array([(weight.sum(1) * k).sum(), (weight.sum(0) * k).sum()]) / weight.sum()
    moved = fourier_shift(far, -centre)
    result = np.fft.ifft2(np.fft.ifftshift(moved, axes=(-2, -1)))
    return result.reshape(probe.shape).astype(np.complex64)


def unnormalised_probe_scale(scan: Scan) -> float:
    """The `probe_scale` with which normalising leaves the probe as it is, in units of the patterns.

    See `pinn_torch.model.module.normalised_probe`, which gives the probe the energy
    ``(N/2)**2 / BACKGROUND**2 * (4 / probe_scale)**2`` where the patterns have the mean energy ``(N/2)**2``.
    """
    energy = float((np.abs(scan.probe.astype(np.complex128)) ** 2).sum())
    return 4.0 / BACKGROUND * float(np.sqrt(scan.nphotons / energy))


def _run_folder(folder: Path) -> Path:
    """The folder of an interrupted run under `folder`, or a new one; it is made when it is written to."""
    unfinished = sorted(folder.glob(f"run_*/{FOLDER}/resume.ckpt"), key=lambda path: path.stat().st_mtime)
    if unfinished:
        return unfinished[-1].parent.parent
    stem = f"run_{datetime.now():%Y%m%d_%H%M%S}"
    names = [stem, *(f"{stem}_{number}" for number in range(1, 1000))]
    return next(folder / name for name in names if not (folder / name).exists())

"""The two things that a user does: train on a scan, and reconstruct a scan. Importing this loads no
framework."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinn_data.run.results import Reconstruction, TrainingResult

from pinn_torch.runtime.requirements import require_torch

if TYPE_CHECKING:
    from pinn_config.configs import InferenceConfig, TrainingConfig
    from pinn_config.execution import PyTorchExecutionConfig
    from pinn_data.progress.reports import Watcher
    from pinn_data.scan.scan import Scan

__all__ = ["Reconstruction", "TrainingResult", "reconstruct", "seen_devices", "train"]


def train(
    scan: Scan,
    config: TrainingConfig,
    execution: PyTorchExecutionConfig | None = None,
    *,
    validation: Scan | None = None,
    seed: int = 0,
    max_seconds: float | None = None,
    progress: Watcher | None = None,
) -> TrainingResult:
    """Train the network of `config.model` on a scan, and write ``config.output_dir/wts.h5.zip``.

    With `execution.enable_checkpointing` the end of every epoch is kept, and the same call after an
    interruption goes on from there, to the same weights to the bit; the best epochs are kept besides.

    config : where its ``refine`` says so, the solver puts the scans right before they are learned
        (`pinn_data.run.refinement.corrected_scans`)
    max_seconds : the training ends after this time, with a finished learning-rate schedule, if
        `config.nepochs` do not end it before
    progress : is told after every batch and epoch how far the training is, and may stop it
        (`pinn_data.progress.reports`); the archive then holds what was learned so far, and the same call goes
        on after the last finished epoch

    Raises
    ------
    TorchMissingError (RuntimeError), ConfigError, RunError (ValueError), NotFiniteError (RuntimeError),
    PinnDataError (a ValueError: the scan cannot be used, or lacks what the settings need), CancelledError (a
    RuntimeError: stopped before the first step)
    """
    require_torch()
    from pinn_torch.reconstruction.refinement import correct_scans
    from pinn_torch.runtime.devices import same_arithmetic_afterwards
    from pinn_torch.training.run import run_training

    with same_arithmetic_afterwards():
        scan, validation = correct_scans(scan, validation, config, execution, progress)
        return run_training(
            scan,
            config,
            execution,
            validation=validation,
            seed=seed,
            max_seconds=max_seconds,
            progress=progress,
        )


def reconstruct(
    model: Path,
    scan: Scan,
    config: InferenceConfig | None = None,
    execution: PyTorchExecutionConfig | None = None,
    *,
    seed: int = 0,
    progress: Watcher | None = None,
) -> Reconstruction:
    """The object of a scan from the archive (or its folder) of a training.

    config : its ``refine`` says what the solver may find after the network (None: 'auto'; 'none': the image
        is the network's own)
    progress : is told after every batch and epoch how far it is, and may stop it
        (`pinn_data.progress.reports`)

    Raises
    ------
    TorchMissingError (RuntimeError), ArchiveError (ValueError), ArchiveNotFoundError (FileNotFoundError),
    RunError (ValueError), PinnDataError (a ValueError: the scan cannot be used), CancelledError (a
    RuntimeError: stopped by `progress`)
    """
    require_torch()
    from pinn_data.progress.verbosity import detailed_logs

    from pinn_torch.reconstruction.refinement import run_refined_reconstruction
    from pinn_torch.runtime.devices import same_arithmetic_afterwards

    wanted = config is not None and config.debug is True
    with same_arithmetic_afterwards(), detailed_logs(wanted, "pinn_torch"):
        return run_refined_reconstruction(model, scan, config, execution, seed=seed, progress=progress)


def seen_devices() -> list[dict[str, Any]]:
    """The devices that PyTorch sees on this machine, the CPU first.

    Each has ``kind`` ('cpu', 'cuda', 'mps') and ``name``; where PyTorch tells, ``memory_bytes``,
    ``free_bytes`` and, of the CPU, ``threads`` (0: as many as it likes).

    Raises TorchMissingError (a RuntimeError).
    """
    require_torch()
    from pinn_torch.runtime import devices

    return devices.seen_devices()

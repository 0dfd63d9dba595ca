"""The solver on PyTorch before a training and after a network, as `pinn_data.run.refinement` describes it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pinn_config.configs import InferenceConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.command.processes import is_first_process
from pinn_data.progress.reports import Watcher
from pinn_data.run.refinement import corrected_scans, parts_after_network, refine_image
from pinn_data.run.results import Reconstruction
from pinn_data.scan.scan import Scan

from pinn_torch import solver
from pinn_torch.archive.model_archive import TrainedModel
from pinn_torch.distributed.strategies import processes_for
from pinn_torch.reconstruction.run import run_reconstruction
from pinn_torch.runtime.devices import device_of

__all__ = ["correct_scans", "run_refined_reconstruction"]


def run_refined_reconstruction(
    model: Path | TrainedModel,
    scan: Scan,
    config: InferenceConfig | None,
    execution: PyTorchExecutionConfig | None,
    *,
    seed: int,
    progress: Watcher | None,
) -> Reconstruction:
    """See `pinn_torch.workflows.reconstruct`. `model`: an archive, or a model that was loaded already."""
    parts = parts_after_network(config)
    execution = execution or PyTorchExecutionConfig()
    network = partial(run_reconstruction, model, scan, config, execution, seed=seed)
    if parts is None:
        return network(progress=progress)
    return refine_image(
        lambda watcher: network(progress=watcher),
        scan,
        parts,
        _solve_as(execution),
        partial(solver.operations, _device(execution)),
        border_px=0 if config is None else config.border_px,
        bar=_has_bar(execution),
        progress=progress,
    )


def correct_scans(
    scan: Scan,
    validation: Scan | None,
    config: TrainingConfig,
    execution: PyTorchExecutionConfig | None,
    progress: Watcher | None = None,
) -> tuple[Scan, Scan | None]:
    """`pinn_data.run.refinement.corrected_scans` on the device of the training."""
    execution = execution or PyTorchExecutionConfig()
    return corrected_scans(
        scan, validation, config, _solve_as(execution), bar=_has_bar(execution), progress=progress
    )


def _solve_as(execution: PyTorchExecutionConfig) -> partial[solver.Solution]:
    processes = processes_for(execution, device_of(execution.accelerator))
    return partial(solver.solve, device=_device(execution), processes=processes)


def _device(execution: PyTorchExecutionConfig) -> str | None:
    return None if execution.accelerator == "auto" else execution.accelerator


def _has_bar(execution: PyTorchExecutionConfig) -> bool:
    return execution.enable_progress_bar and is_first_process()

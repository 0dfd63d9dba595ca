"""The solver before a training and after a network, as `pinn_data.run.refinement` describes it.

On a CPU it computes with NumPy, which takes half of TensorFlow's time for it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pinn_config.configs import InferenceConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.progress.reports import Watcher
from pinn_data.run.refinement import corrected_scans, parts_after_network, refine_image
from pinn_data.run.results import Reconstruction
from pinn_data.scan.scan import Scan
from pinn_data.solver import solve
from pinn_data.solver.operations import ArrayOperations, NumpyOperations

from pinn_tf.archive.model_archive import TrainedModel
from pinn_tf.reconstruction.run import run_reconstruction
from pinn_tf.runtime.devices import GPU, device_of
from pinn_tf.training.training_policy import HISTORICAL_EXECUTION

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
    """See `pinn_tf.workflows.reconstruct`. `model`: an archive, or a model of this process, which stays as it
    is."""
    parts = parts_after_network(config)
    execution = execution or HISTORICAL_EXECUTION
    network = partial(run_reconstruction, model, scan, config, execution, seed=seed)
    if parts is None:
        return network(progress=progress)
    return refine_image(
        lambda watcher: network(progress=watcher),
        scan,
        parts,
        partial(solve, operations=_operations(execution)),
        partial(_operations, execution),
        border_px=0 if config is None else config.border_px,
        bar=execution.enable_progress_bar,
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
    execution = execution or HISTORICAL_EXECUTION
    solving = partial(solve, operations=_operations(execution))
    return corrected_scans(
        scan, validation, config, solving, bar=execution.enable_progress_bar, progress=progress
    )


def _operations(execution: PyTorchExecutionConfig) -> ArrayOperations:
    device = device_of(execution.accelerator)
    if device != GPU:
        return NumpyOperations()
    from pinn_tf.solver.operations import TensorFlowOperations

    return TensorFlowOperations(device)

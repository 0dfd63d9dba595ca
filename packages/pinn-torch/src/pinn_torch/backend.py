"""The engine of this backend: what `pinn_data.run` needs of PyTorch. Importing this loads no framework."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinn_config.configs import TrainingConfig
from pinn_config.execution import Precision, PyTorchExecutionConfig
from pinn_data.run.backend import FinishedTraining
from pinn_data.run.inference_bundle import BundleFunctions
from pinn_data.run.workflow_functions import WorkflowFunctions

from pinn_torch import BACKEND
from pinn_torch.runtime.requirements import require_torch

if TYPE_CHECKING:
    from pinn_data.progress.reports import Watcher
    from pinn_data.run.reconstruction_job import ReconstructionJob
    from pinn_data.run.refinement import Solve
    from pinn_data.run.results import Reconstruction, TrainingResult
    from pinn_data.run.run_record import Origin
    from pinn_data.run.training_job import TrainingJob
    from pinn_data.solver.operations import ArrayOperations

    from pinn_torch.archive.model_archive import TrainedModel

__all__ = ["TORCH"]


class _Torch(WorkflowFunctions, BundleFunctions):
    name = BACKEND
    package = "pinn_torch"
    default_execution = PyTorchExecutionConfig()

    def require(self) -> None:
        require_torch()

    def guarded(self) -> AbstractContextManager[None]:
        from pinn_torch.runtime.devices import same_arithmetic_afterwards

        return same_arithmetic_afterwards()

    def framework_versions(self) -> dict[str, str]:
        from pinn_torch.archive.model_archive import framework_versions

        return framework_versions()

    def list_devices(self) -> list[dict[str, Any]]:
        from pinn_torch.runtime.devices import seen_devices

        return seen_devices()

    def precision_for(self, execution: PyTorchExecutionConfig) -> Precision:
        from pinn_torch.runtime.devices import device_of, resolved_precision

        return resolved_precision(device_of(execution.accelerator), execution.precision)

    def load_model(self, path: Path) -> TrainedModel:
        from pinn_torch.archive.model_archive import load_model

        return load_model(path)

    def save_model(self, folder: Path, trained: TrainedModel) -> Path:
        from pinn_torch.archive.model_archive import save_model

        return save_model(folder, trained.module, trained.config, trained.checkpoint, trained.provenance)

    def is_trained(self, model: Any) -> bool:
        from pinn_torch.archive.model_archive import TrainedModel

        return isinstance(model, TrainedModel)

    def named_models(self, trained: TrainedModel) -> dict[str, Any]:
        from pinn_torch.models import models_of

        return dict(models_of(trained.module))

    def run_training(
        self, job: TrainingJob, origin: Origin, progress: Watcher | None, **own: Any
    ) -> TrainingResult:
        from pinn_torch.training.run import run_training

        return run_training(job, origin, progress, **own)

    def finish_training(self, job: TrainingJob, origin: Origin) -> FinishedTraining:
        result = self.run_training(job, origin, None)
        return FinishedTraining(
            self.load_model(result.archive),
            result.archive,
            job.execution,
            result.history,
            result.parameters,
            result.seconds,
            result.scales,
        )

    def model_of(self, config: TrainingConfig) -> Path:
        return Path(config.output_dir)

    def run_network(
        self, trained: TrainedModel, job: ReconstructionJob, progress: Watcher | None
    ) -> Reconstruction:
        from pinn_torch.reconstruction.run import run_network

        return run_network(trained.module, job, progress)

    def solver_for(self, execution: PyTorchExecutionConfig) -> tuple[Solve, Callable[[], ArrayOperations]]:
        from pinn_torch import solver
        from pinn_torch.distributed.strategies import processes_for
        from pinn_torch.runtime.devices import device_of

        device = None if execution.accelerator == "auto" else execution.accelerator
        processes = processes_for(execution, device_of(execution.accelerator))
        return (
            partial(solver.solve, device=device, processes=processes),
            partial(solver.operations, device),
        )

    @contextmanager
    def placed(self, execution: PyTorchExecutionConfig | None) -> Iterator[Callable[[Any], Any]]:
        from pinn_torch.runtime.devices import device_of

        device = device_of("cpu" if execution is None else execution.accelerator)
        yield lambda model: model.to(device)


TORCH = _Torch()

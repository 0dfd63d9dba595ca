"""The engine of this backend: what `pinn_data.run` needs of TensorFlow. Importing this loads no framework.

Programs like ptychodus give no ``output_dir`` but a placeholder, ``Path()``, and ask for the archive later.
Then the workflow functions write nothing, ``bundle_path`` of the results is None, and the model stays in this
process (`pinn_tf.training.last_training`), where `pinn_tf.historical.saved_models.save` finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinn_config.configs import TrainingConfig
from pinn_config.execution import Precision, PyTorchExecutionConfig
from pinn_data.command.plain_errors import plain_errors
from pinn_data.run.backend import FinishedTraining
from pinn_data.run.inference_bundle import BundleFunctions
from pinn_data.run.workflow_functions import WorkflowFunctions

from pinn_tf import BACKEND
from pinn_tf.runtime.requirements import require_tensorflow
from pinn_tf.training.last_training import keep, last_training
from pinn_tf.training.training_policy import HISTORICAL_EXECUTION

if TYPE_CHECKING:
    from pinn_data.progress.reports import Watcher
    from pinn_data.run.reconstruction_job import ReconstructionJob
    from pinn_data.run.refinement import Solve
    from pinn_data.run.results import Reconstruction, TrainingResult
    from pinn_data.run.run_record import Origin
    from pinn_data.run.training_job import TrainingJob
    from pinn_data.solver.operations import ArrayOperations

    from pinn_tf.archive.model_archive import TrainedModel

__all__ = ["TENSORFLOW"]


class _TensorFlow(WorkflowFunctions, BundleFunctions):
    name = BACKEND
    package = "pinn_tf"
    default_execution = HISTORICAL_EXECUTION

    def require(self) -> None:
        require_tensorflow()

    def guarded(self) -> AbstractContextManager[None]:
        return plain_errors()

    def framework_versions(self) -> dict[str, str]:
        from pinn_tf.archive.model_archive import framework_versions

        return framework_versions()

    def list_devices(self) -> list[dict[str, Any]]:
        from pinn_tf.runtime.devices import seen_devices

        return seen_devices()

    def precision_for(self, execution: PyTorchExecutionConfig) -> Precision:
        from pinn_tf.runtime.devices import device_of, resolved_precision
        from pinn_tf.runtime.supported import refuse_unsupported

        refuse_unsupported(execution)
        return resolved_precision(device_of(execution.accelerator), execution.precision)

    def load_model(self, path: Path) -> TrainedModel:
        from pinn_tf.archive.model_archive import load_model

        return load_model(path)

    def save_model(self, folder: Path, trained: TrainedModel) -> Path:
        from pinn_tf.archive.model_archive import save_model

        return save_model(folder, trained)

    def is_trained(self, model: Any) -> bool:
        from pinn_tf.archive.model_archive import TrainedModel

        return isinstance(model, TrainedModel)

    def named_models(self, trained: TrainedModel) -> dict[str, Any]:
        from pinn_tf.models import models_of

        return dict(models_of(trained.module))

    def run_training(
        self, job: TrainingJob, origin: Origin, progress: Watcher | None, **own: Any
    ) -> TrainingResult:
        from pinn_tf.training.run import learn

        folder = Path(job.config.output_dir)
        return learn(job, origin, folder, progress, **own).saved(folder)

    def finish_training(self, job: TrainingJob, origin: Origin) -> FinishedTraining:
        from pinn_tf.archive.model_archive import reopened
        from pinn_tf.training.run import learn

        folder = None if job.config.output_dir == Path() else Path(job.config.output_dir)
        learned = learn(job, origin, folder)
        archive = None if folder is None else learned.saved(folder).archive
        trained = reopened(learned.trained)
        keep(trained)
        return FinishedTraining(
            trained,
            archive,
            trained.execution,
            learned.history,
            learned.parameters,
            learned.seconds,
            learned.scales,
        )

    def model_of(self, config: TrainingConfig) -> Path | TrainedModel:
        return last_training() if config.output_dir == Path() else Path(config.output_dir)

    def run_network(
        self, trained: TrainedModel, job: ReconstructionJob, progress: Watcher | None
    ) -> Reconstruction:
        from pinn_tf.reconstruction.run import run_network

        return run_network(trained, job, progress)

    def solver_for(self, execution: PyTorchExecutionConfig) -> tuple[Solve, Callable[[], ArrayOperations]]:
        from pinn_data.solver import solve

        operations = _operations_for(execution)
        return partial(solve, operations=operations), lambda: operations

    @contextmanager
    def placed(self, execution: PyTorchExecutionConfig | None) -> Iterator[Callable[[Any], Any]]:
        from pinn_tf.runtime.devices import device_of, on_device

        device = None if execution is None else device_of(execution.accelerator)

        def place(model: Any) -> Any:
            model.device = device
            return model

        with on_device(device):
            yield place


def _operations_for(execution: PyTorchExecutionConfig) -> ArrayOperations:
    """On a CPU NumPy's, which take half of TensorFlow's time for the solver."""
    from pinn_data.solver.operations import NumpyOperations

    from pinn_tf.runtime.devices import GPU, device_of

    device = device_of(execution.accelerator)
    if device != GPU:
        return NumpyOperations()
    from pinn_tf.solver.array_operations import TensorFlowOperations

    return TensorFlowOperations(device)


TENSORFLOW = _TensorFlow()

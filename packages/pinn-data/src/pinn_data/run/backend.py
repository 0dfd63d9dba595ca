"""What a backend gives: the parts of a training and a reconstruction that need its framework."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import attrs
from pinn_config.configs import TrainingConfig
from pinn_config.execution import Precision, PyTorchExecutionConfig

from pinn_data.progress.reports import Watcher
from pinn_data.run.reconstruction_job import ReconstructionJob
from pinn_data.run.refinement import Solve
from pinn_data.run.results import Reconstruction, TrainingResult
from pinn_data.run.run_record import Origin
from pinn_data.run.training_job import TrainingJob
from pinn_data.solver.operations import ArrayOperations

__all__ = ["Backend", "FinishedTraining"]


@attrs.frozen(eq=False)
class FinishedTraining:
    """What a training leaves to the workflow functions.

    trained : the backend's trained model, with `config`, `provenance` and `intensity_scale`
    archive : None: none was written
    execution : as it was used
    history, parameters, seconds, scales : as in `pinn_data.run.results.TrainingResult`
    """

    trained: Any
    archive: Path | None
    execution: PyTorchExecutionConfig
    history: list[dict[str, Any]]
    parameters: int
    seconds: float
    scales: Mapping[str, float]


class Backend(ABC):
    """The engine of one backend. Making one imports no framework; its methods do.

    name : in archives, on the command line, in messages
    package : that logs
    default_execution : where a caller gives no execution config
    """

    name: str
    package: str
    default_execution: PyTorchExecutionConfig

    # The framework

    @abstractmethod
    def require(self) -> None:
        """Raise one sentence, in a RuntimeError, if the framework is missing or too old."""

    @abstractmethod
    def guarded(self) -> AbstractContextManager[Any]:
        """Surrounds every public call: what a framework changes in this process, or raises, stays inside."""

    @abstractmethod
    def framework_versions(self) -> dict[str, str]:
        """Versions of what computes."""

    @abstractmethod
    def list_devices(self) -> list[dict[str, Any]]:
        """See `pinn_data.run.workflows.Workflows.seen_devices`."""

    @abstractmethod
    def precision_for(self, execution: PyTorchExecutionConfig) -> Precision:
        """The precision that is used on the device of `execution`; raises RunError for what cannot be."""

    # Trained models

    @abstractmethod
    def load_model(self, path: Path) -> Any:
        """The trained model of an archive; raises as `pinn_data.archives.foreign_archive.use_archive`."""

    @abstractmethod
    def save_model(self, folder: Path, trained: Any) -> Path:
        """Write the archive of a trained model into `folder`, and return its path."""

    @abstractmethod
    def is_trained(self, model: Any) -> bool:
        """Whether this is a trained model of this backend."""

    @abstractmethod
    def named_models(self, trained: Any) -> dict[str, Any]:
        """The models of the specification (`pinn_data.run.inference_bundle.MODEL_NAMES`) by name."""

    # Runs

    @abstractmethod
    def run_training(
        self, job: TrainingJob, origin: Origin, progress: Watcher | None, **own: Any
    ) -> TrainingResult:
        """Train, and write the archive. own : what a backend takes besides"""

    @abstractmethod
    def finish_training(self, job: TrainingJob, origin: Origin) -> FinishedTraining:
        """Train for the workflow functions, which go on with the trained model."""

    @abstractmethod
    def model_of(self, config: TrainingConfig) -> Any:
        """The archive, or the trained model, that a training with this configuration left."""

    @abstractmethod
    def run_network(self, trained: Any, job: ReconstructionJob, progress: Watcher | None) -> Reconstruction:
        """The network's image, by `pinn_data.run.network_image.make_image`."""

    @abstractmethod
    def solver_for(self, execution: PyTorchExecutionConfig) -> tuple[Solve, Callable[[], ArrayOperations]]:
        """The solver on the device of `execution`, and its array operations."""

    @abstractmethod
    def placed(
        self, execution: PyTorchExecutionConfig | None
    ) -> AbstractContextManager[Callable[[Any], Any]]:
        """A block in which a client's model is opened; it gives a function that puts the model on its
        device. Raises RunError if this machine has no such device."""

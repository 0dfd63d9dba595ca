"""The workflow functions of the specification on TensorFlow; `pinn_data.run.workflow_functions` describes
them.

Programs like ptychodus give no ``output_dir`` but a placeholder, ``Path()``, and ask for the archive later.
Then nothing is written, ``bundle_path`` of the results is None, and the model stays in this process
(`pinn_tf.training.last_training`), where `pinn_tf.historical.saved_models.save` finds it. Importing this
module loads no framework.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pinn_config.configs import InferenceConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.run.plain_errors import plain_errors
from pinn_data.run.results import Reconstruction
from pinn_data.run.workflow_functions import FinishedTraining, WorkflowFunctions
from pinn_data.run.workflow_results import RESULT_KEYS
from pinn_data.scan.scan import Scan

from pinn_tf import BACKEND
from pinn_tf.runtime.requirements import require_tensorflow
from pinn_tf.training.last_training import keep, last_training
from pinn_tf.training.training_policy import HISTORICAL_EXECUTION
from pinn_tf.workflows import reconstruct

if TYPE_CHECKING:
    from pinn_tf.archive.model_archive import TrainedModel

__all__ = ["RESULT_KEYS", "reassemble_cdi_image", "run_cdi_example", "train_cdi_model"]


class _TensorFlowFunctions(WorkflowFunctions):
    backend = BACKEND
    default_execution = HISTORICAL_EXECUTION

    def require(self) -> None:
        require_tensorflow()

    def train(
        self,
        scan: Scan,
        validation: Scan | None,
        config: TrainingConfig,
        execution: PyTorchExecutionConfig | None,
        *,
        seed: int,
        max_seconds: float | None,
    ) -> FinishedTraining:
        from pinn_tf.archive.inference_bundle import models_of
        from pinn_tf.archive.model_archive import reopened
        from pinn_tf.reconstruction.refinement import correct_scans
        from pinn_tf.training.run import learn

        folder = None if config.output_dir == Path() else Path(config.output_dir)
        with plain_errors():
            scan, validation = correct_scans(scan, validation, config, execution)
            learned = learn(
                scan,
                config,
                execution,
                validation=validation,
                seed=seed,
                max_seconds=max_seconds,
                folder=folder,
            )
            archive = None if folder is None else learned.saved(folder).archive
            trained = reopened(learned.trained)
            keep(trained)
            models = models_of(trained)
        return FinishedTraining(
            trained,
            models,
            archive,
            learned.history,
            learned.parameters,
            learned.seconds,
            learned.scales,
            learned.provenance,
        )

    def reconstruct(
        self,
        model: Path | TrainedModel,
        scan: Scan,
        config: InferenceConfig,
        execution: PyTorchExecutionConfig,
        *,
        seed: int,
    ) -> Reconstruction:
        return reconstruct(model, scan, config, execution, seed=seed)

    def model_of(self, config: TrainingConfig) -> Path | TrainedModel:
        return last_training() if config.output_dir == Path() else Path(config.output_dir)


_FUNCTIONS = _TensorFlowFunctions()

run_cdi_example = _FUNCTIONS.run_cdi_example
train_cdi_model = _FUNCTIONS.train_cdi_model
reassemble_cdi_image = _FUNCTIONS.reassemble_cdi_image

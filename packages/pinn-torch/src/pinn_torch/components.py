"""The workflow functions of the specification on PyTorch; `pinn_data.run.workflow_functions` describes them.

Importing this module loads no framework.
"""

from __future__ import annotations

from pathlib import Path

from pinn_config.configs import InferenceConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.run.results import Reconstruction
from pinn_data.run.workflow_functions import FinishedTraining, WorkflowFunctions
from pinn_data.run.workflow_results import RESULT_KEYS
from pinn_data.scan.scan import Scan

from pinn_torch import BACKEND
from pinn_torch.runtime.requirements import require_torch
from pinn_torch.workflows import reconstruct, train

__all__ = [
    "RESULT_KEYS",
    "reassemble_cdi_image",
    "run_cdi_example",
    "run_cdi_example_torch",
    "train_cdi_model",
    "train_cdi_model_torch",
]


class _TorchFunctions(WorkflowFunctions):
    backend = BACKEND
    default_execution = PyTorchExecutionConfig()

    def require(self) -> None:
        require_torch()

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
        result = train(scan, config, execution, validation=validation, seed=seed, max_seconds=max_seconds)
        from pinn_torch.archive.inference_bundle import models_of
        from pinn_torch.archive.model_archive import load_model

        trained = load_model(result.archive)
        return FinishedTraining(
            trained,
            models_of(trained),
            result.archive,
            result.history,
            result.parameters,
            result.seconds,
            result.scales,
            result.provenance,
        )

    def reconstruct(
        self,
        model: Path,
        scan: Scan,
        config: InferenceConfig,
        execution: PyTorchExecutionConfig,
        *,
        seed: int,
    ) -> Reconstruction:
        return reconstruct(model, scan, config, execution, seed=seed)

    def model_of(self, config: TrainingConfig) -> Path:
        return Path(config.output_dir)


_FUNCTIONS = _TorchFunctions()

run_cdi_example = run_cdi_example_torch = _FUNCTIONS.run_cdi_example
train_cdi_model = train_cdi_model_torch = _FUNCTIONS.train_cdi_model
reassemble_cdi_image = _FUNCTIONS.reassemble_cdi_image

"""What the child interpreter of `pinn doctor` does with one backend.

It tells of each stage as it is passed, so that what kills it is known by the last one.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pinn_dispatch.registry import load_backend, row_of

if TYPE_CHECKING:
    from pinn_config.configs import Framework

__all__ = ["MARK", "main"]

MARK = "pinn-doctor "
"""What a line for the caller begins with; frameworks write lines of their own."""


def main(name: str, runs: bool) -> None:
    """Loads the backend and its framework, looks for devices, and, if `runs`, trains and reconstructs."""
    backend: Any = load_backend(name)
    _tell("loaded", module=backend.__name__)
    framework = row_of(name).framework
    _tell("framework", name=framework)
    if hasattr(backend, "seen_devices"):
        devices = backend.seen_devices()
    else:
        importlib.import_module(framework)
        devices = []
    _tell("devices", version=metadata.version(framework), devices=devices)
    if runs:
        with tempfile.TemporaryDirectory(prefix="pinn-doctor-") as folder:
            _run(cast("Framework", name), Path(folder))  # `load_backend` knows it


def _run(name: Framework, folder: Path) -> None:
    """16 patterns of one object are learned for some seconds, 16 of another one reconstructed."""
    import numpy as np
    from pinn_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig

    from pinn_dispatch.demo_scans import N, demo_scans
    from pinn_dispatch.dispatch import reconstruct, train
    from pinn_dispatch.recipe import RECIPE

    began = time.perf_counter()
    learned, unseen = demo_scans(0, side=4)
    model = ModelConfig(N=N, **RECIPE["model"])
    config = TrainingConfig(
        model, batch_size=8, nepochs=4, n_groups=16, neighbor_count=6, output_dir=folder, backend=name
    )
    execution = PyTorchExecutionConfig(
        accelerator="auto", precision="auto", logger_backend="none", enable_checkpointing=False
    )
    training = train(learned, config, execution, seed=0, max_seconds=20)
    _tell("trained", seconds=training.seconds, losses=[row["train_loss"] for row in training.history])
    inference = InferenceConfig(model, model_path=training.archive, output_dir=folder, backend=name)
    found = reconstruct(training.archive, unseen, inference, execution, seed=0)
    if not np.isfinite(found.object).all() or not np.isfinite(found.residual):
        raise ArithmeticError("the reconstructed image is not finite")
    _tell("reconstructed", residual=float(found.residual), seconds=time.perf_counter() - began)


def _tell(stage: str, **what: Any) -> None:
    print(MARK + json.dumps({"stage": stage, **what}), flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2:] == ["--run"])
    except Exception as error:  # whatever a broken installation raises: it is what the caller asks for
        _tell("failed", kind=type(error).__name__, says=" ".join(str(error).split()))
        sys.exit(1)

"""The settings of a training of which nobody said anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinn_config.files import EXECUTION

__all__ = ["RECIPE"]

RECIPE: Mapping[str, Any] = {
    "backend": "pytorch",
    "model": {"architecture": "unrolled", "gridsize": 2},
    "batch_size": 16,
    "nepochs": 5,
    "neighbor_count": 6,
    "refine": "auto",
    EXECUTION: {
        "accelerator": "auto",
        "precision": "auto",
        "learning_rate": 4e-3,
        "scheduler": "MultiStage",
        "warmup_steps": 30,  # the rate is high, and Adam's first steps are full steps
        "enable_progress_bar": True,
    },
}
"""What `pinn train` uses where neither a flag nor a file says otherwise; what it leaves out has the config's
default."""

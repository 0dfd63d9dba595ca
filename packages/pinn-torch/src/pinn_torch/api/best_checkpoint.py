"""The best of the checkpoints that a training left."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from pinn_torch.training.checkpoints import FOLDER

__all__ = ["find_best_checkpoint"]


def find_best_checkpoint(run_dir: Path) -> Path | None:
    """The checkpoint with the best value of the metric that its training followed, under
    ``run_dir/checkpoints``; None where there is none.

    Where nothing better tells, such as in checkpoints of other programs, the newest is taken.
    """
    found: list[tuple[float, float, Path]] = []
    for path in Path(run_dir).glob(f"{FOLDER}/*.ckpt"):
        if path.name == "resume.ckpt":
            continue
        # As text: PyTorch 2.2 maps no Path.
        stored = torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
        tells = stored.get("pinn_torch_monitored", {"value": math.inf, "mode": "min"})
        value = tells["value"] if tells["mode"] == "min" else -tells["value"]
        found.append((value, -path.stat().st_mtime, path))
    return min(found)[2] if found else None

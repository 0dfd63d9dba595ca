"""The folder of a run in words: the model in it, how its training went, the reconstruction in it."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np

from pinn_dispatch.info.archive_description import describe_archive
from pinn_dispatch.info.description import Description, Picture
from pinn_dispatch.info.image_description import describe_product, describe_reconstruction
from pinn_dispatch.reconstruction import FILE_NAME, PRODUCT_NAME

__all__ = ["describe_run"]

_LOSSES = "losses.csv"


def describe_run(path: Path) -> Description:
    """What `pinn train`, `pinn infer` or `pinn demo` left; raises what the readers of its files raise."""
    parts = []
    if (path / "wts.h5.zip").exists():
        parts.append(describe_archive(path / "wts.h5.zip"))
    if (path / _LOSSES).is_file():
        parts.append(_describe_losses(path / _LOSSES))
    if (path / FILE_NAME).exists():
        parts.append(describe_reconstruction(path / FILE_NAME))
    elif (path / PRODUCT_NAME).exists():  # the same reconstruction in another format
        parts.append(describe_product(path / PRODUCT_NAME))
    files = sorted(
        item.name + ("/" if item.is_dir() else "") for item in path.iterdir() if item.name[0] != "."
    )
    return Description(
        path, "folder of a run", {"files": ", ".join(files)}, {"files": files}, (), tuple(parts)
    )


def _describe_losses(path: Path) -> Description:
    """``losses.csv``: what was recorded last, of each column."""
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(file))
    last: dict[str, float] = {}
    for row in rows:
        last |= {name: value for name, text in row.items() if name and (value := _number(text)) is not None}
    misfit = next((name for name in ("train_deviance", "train_loss") if name in last), None)
    values = [v for row in rows if misfit and (v := _number(row.get(misfit))) is not None]
    words = {
        "recorded": f"{len(rows)} steps in {last.get('seconds', 0):.1f} s",
        "at the end": ", ".join(f"{k} {v:.5g}" for k, v in last.items() if k not in ("step", "seconds"))
        or "nothing",
    }
    pictures = (Picture(str(misfit), "curve", np.array(values)),) if len(values) > 1 else ()
    return Description(path, "course of the training", words, {"steps": len(rows), "last": last}, pictures)


def _number(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None

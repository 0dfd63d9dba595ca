"""From grouped data to a container, and from one container to two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from numpy.typing import ArrayLike

from pinn_tf.errors import RunError
from pinn_tf.historical.container import PtychoDataContainer

__all__ = ["PtychoDataset", "load"]


@attrs.frozen(eq=False)
class PtychoDataset:
    """Groups to learn from, and others to test with."""

    train_data: PtychoDataContainer
    test_data: PtychoDataContainer | None = None

    @classmethod
    def split(cls, container: PtychoDataContainer, train_frac: float) -> PtychoDataset:
        """The first share of the groups, and the rest; everything of a group goes with it.

        Groups of gridsize 2 and more may have frames in common across the border. Who wants none divides the
        scan itself before it is grouped (`pinn_data.scan.scan.Scan.select`).

        Raises RunError (a ValueError) for a share that leaves one side empty.
        """
        first = round(train_frac * len(container)) if np.isfinite(train_frac) else 0
        if not 0 < first < len(container):
            raise RunError(
                f"train_frac={train_frac:g} of {len(container)} groups leaves one part empty: give a "
                "fraction between 0 and 1, or more groups"
            )
        return cls(container.select(slice(first)), container.select(slice(first, None)))


def load(
    cb: Callable[[], Any], probeGuess: ArrayLike, which: str | None = None, create_split: bool = False
) -> PtychoDataContainer:
    """The container of what `cb` returns.

    Parameters
    ----------
    cb : returns the dictionary of `RawData.generate_grouped_data`; with `create_split` that and the share of
        the groups to learn from
    probeGuess : ([mode,] N, N) complex
    which : with `create_split` the part that is wanted, ``'train'`` or ``'test'``; without it there is one
        container, whatever it is called

    Raises
    ------
    RunError (a ValueError)
        Another `which`; `cb` did not return this; the share leaves one part empty.
    ShapeError (a ValueError)
        Its arrays do not fit together, or not to the probe.
    """
    parts = ("train", "test") if create_split else ("train", "test", None)
    if which not in parts:
        raise RunError(
            f"which={which!r} was given, but {' or '.join(map(repr, parts))} is needed: choose one"
        )
    made = cb()
    if create_split:
        if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], dict)):
            raise RunError(
                "with create_split the callable must return (grouped data, fraction), not a "
                f"{type(made).__name__}"
            )
        dataset = PtychoDataset.split(PtychoDataContainer.from_grouped(made[0], probeGuess), float(made[1]))
        chosen = dataset.train_data if which == "train" else dataset.test_data
        assert chosen is not None
        return chosen
    if not isinstance(made, dict):
        raise RunError(
            f"the callable must return the dictionary of RawData.generate_grouped_data, not a "
            f"{type(made).__name__}"
        )
    return PtychoDataContainer.from_grouped(made, probeGuess)

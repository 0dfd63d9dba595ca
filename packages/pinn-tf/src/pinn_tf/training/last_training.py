"""The model that the workflow functions trained last in this process.

``ptycho.model_manager.save(folder)`` names no model (specification, section 4.6): it saves what
``run_cdi_example`` has just trained. So that one is kept, here and nowhere else, until the next one takes its
place. Nothing else looks at it, so two models in one process know nothing of each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinn_tf.errors import RunError

if TYPE_CHECKING:
    from pinn_tf.archive.model_archive import TrainedModel

__all__ = ["keep", "last_training"]

_kept: TrainedModel | None = None


def keep(trained: TrainedModel) -> None:
    """From now on `trained` is the last training."""
    global _kept
    _kept = trained


def last_training() -> TrainedModel:
    """The last training of this process; raises RunError (a ValueError) where there is none."""
    if _kept is None:
        raise RunError(
            "nothing has been trained in this process: call run_cdi_example or train_cdi_model first, or "
            "name the archive of a training"
        )
    return _kept

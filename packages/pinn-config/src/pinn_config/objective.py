"""The loss of a training: one weighted sum, defined only here.

For the network's object ``o`` of each group, a canvas in network units::

    loss =   nll_weight * NLL + mae_weight * MAE           model_type 'pinn': the diffraction
           | 2 * amplitude_error + 4 * phase_error         model_type 'supervised': the labels instead
         + realspace_weight * (total_variation + realspace_mae_weight * (amplitude_error + phase_error))
         + amp_loss_coeff * R_amp(abs(o)) + phase_loss_coeff * R_phase(angle(o))

``NLL``, ``MAE`` (`poisson_nll`, `amplitude_mae`): predicted against measured patterns, in photons and
    sqrt(photons).
``amplitude_error``, ``phase_error``: the object under each pattern against the label, the same patch of the
    scan's own object. Mean absolute differences, weighted with the pattern's illumination, so that pixels
    without light do not count; phases are compared around the circle. `pinn_data.grouping.labels` brings
    labels to network units. With `phase_subtraction` the labels of a group lose their common mean phase, for
    patterns do not tell it; without, the network is asked for the phase as it stands in the file.
``total_variation``: mean squared difference of neighbouring pixels of the complex object.
``R``: 'Total_Variation' is the mean absolute difference of neighbours, 'Mean_Deviation' that from the mean.

Terms that compare patterns or labels are those of the patterns that the network saw plus those of its
predicted neighbours; terms of the object alone are weighted with the illumination of the patterns that it
saw. Every term is a mean over the groups of a batch.

Source: the losses of the public implementation, as facts: weights 2 and 4 of its supervised mode, real-space
loss with TV and MAE, regularisers of amplitude and phase.
"""

from __future__ import annotations

from typing import Literal

import attrs

from pinn_config.configs import TrainingConfig
from pinn_config.errors import ConfigError

__all__ = ["AMPLITUDE_WEIGHT", "PHASE_WEIGHT", "Objective", "Regulariser"]

Regulariser = Literal["Total_Variation", "Mean_Deviation"]

AMPLITUDE_WEIGHT, PHASE_WEIGHT = 2.0, 4.0
"""Of the errors of amplitude and phase in a supervised training."""


@attrs.frozen
class Objective:
    """The weights of the loss; fields are those of `TrainingConfig`."""

    supervised: bool = False
    nll_weight: float = 1.0
    mae_weight: float = 0.0
    realspace_weight: float = 0.0
    realspace_mae_weight: float = 0.0
    amp_loss: Regulariser | None = None
    phase_loss: Regulariser | None = None
    amp_loss_coeff: float = 1.0
    phase_loss_coeff: float = 1.0
    phase_subtraction: bool = True

    @classmethod
    def of(cls, config: TrainingConfig) -> Objective:
        named = {item.name: getattr(config, item.name) for item in attrs.fields(cls) if item.name != _OWN}
        return cls(supervised=config.model.model_type == "supervised", **named)

    @property
    def looks_at_diffraction(self) -> bool:
        """Whether measured patterns enter the loss."""
        return not self.supervised and (self.nll_weight > 0 or self.mae_weight > 0)

    @property
    def label_weights(self) -> tuple[float, float]:
        """The weights of `amplitude_error` and of `phase_error`."""
        both = self.realspace_weight * self.realspace_mae_weight
        if self.supervised:
            return AMPLITUDE_WEIGHT + both, PHASE_WEIGHT + both
        return both, both

    @property
    def needs_labels(self) -> bool:
        """Whether the scan must come with its object."""
        return any(self.label_weights)

    @property
    def learns(self) -> bool:
        """Whether any weight is above 0."""
        amplitude = self.amp_loss is not None and self.amp_loss_coeff > 0
        phase = self.phase_loss is not None and self.phase_loss_coeff > 0
        errors = self.looks_at_diffraction or self.needs_labels
        return errors or self.realspace_weight > 0 or amplitude or phase

    def loss_name(self, stage: Literal["train", "val"]) -> str:
        """The name under which the loss is logged, for example ``poisson_train_loss``."""
        poisson = not self.supervised and self.nll_weight > 0
        extra = ("_Amp" if self.amp_loss else "") + ("_Phase" if self.phase_loss else "")
        return f"{'poisson' if poisson else 'mae'}_{stage}{extra}_loss"

    def monitored(self, metric: str, validates: bool) -> str:
        """The logged name of the metric that checkpoints, early stopping and 'Adaptive' follow.

        metric : as configured (``checkpoint_monitor_metric``); ``val_loss`` and ``train_loss`` stand for
            `loss_name`
        validates : whether there is a validation scan; without one the training loss takes the validation
            loss' place (specification, section 4.9)

        Raises ConfigError for a metric that such a training does not measure.
        """
        train, val = self.loss_name("train"), self.loss_name("val")
        own = {"val_loss": val, "train_loss": train}.get(metric, metric)
        if own == val and not validates:
            return train
        measured = [train, *((val, "val_nll", "val_deviance") if validates else ())]
        if own not in measured:
            raise ConfigError(
                f"checkpoint_monitor_metric={metric!r} is not measured in this training: choose val_loss, "
                f"train_loss or one of {', '.join(measured)}"
                + ("" if validates else "; with a validation scan there are more")
            )
        return own


_OWN = "supervised"

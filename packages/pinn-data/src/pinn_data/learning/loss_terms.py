"""How the terms of a loss are put together (`pinn_config.objective`), in the arithmetic of any backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pinn_config.architecture import BACKGROUND
from pinn_config.configs import ModelConfig
from pinn_config.objective import Objective

from pinn_data.errors import RunError
from pinn_data.learning.loss_functions import LossFunctions

__all__ = ["LearningModule", "check_objective", "loss_of"]

_REGULARISERS = {
    "Total_Variation": ("amplitude_variation", "phase_variation"),
    "Mean_Deviation": ("amplitude_deviation", "phase_deviation"),
}

Tensor = Any
Optics = Any


class LearningModule(Protocol):
    """A backend's trainable module, as the loss needs it.

    channels : patterns of each group that the network sees; those that follow it must predict unseen
    """

    objective: Objective
    model: ModelConfig
    channels: int

    @property
    def losses(self) -> LossFunctions:
        """The backend's loss functions."""

    def predict(self, batch: dict[str, Tensor], canvas: int) -> tuple[Tensor, Optics]:
        """The canvases of the groups, and the physics of the patterns that the network sees."""

    def unseen_optics(self, batch: dict[str, Tensor], canvas: int) -> Optics:
        """The physics of the patterns that the network does not see."""

    def rates(
        self, objects: Tensor, optics: Optics, batch: dict[str, Tensor], patterns: slice
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Predicted counts, measured counts, and which pixels were measured (None: all of them)."""

    def fixed(self, value: Tensor) -> Tensor:
        """The same numbers, through which nothing is learned."""


def check_objective(objective: Objective, probe_trainable: bool) -> None:
    """Raise RunError where nothing, or not what was asked for, would be learned."""
    if not objective.learns:
        raise RunError(
            "every weight of the loss is 0, so nothing would be learned: set nll_weight, mae_weight or "
            "realspace_weight above 0"
        )
    if probe_trainable and not objective.looks_at_diffraction:
        raise RunError(
            "probe_trainable=True was given, but a probe is learned from the diffraction, which does not "
            "enter this loss: set model_type: pinn and a weight for it, or probe_trainable: false"
        )


def loss_of(module: LearningModule, batch: dict[str, Tensor], canvas: int) -> dict[str, Tensor]:
    """``loss`` to minimise, and for reading the terms that it is made of.

    Always there are the Poisson ``nll`` and ``deviance`` of the patterns that the network saw, and
    ``predicted_deviance`` of those that it did not see.
    """
    objects, seen = module.predict(batch, canvas)
    given, unseen = slice(0, module.channels), slice(module.channels, None)
    turn = None
    if module.objective.needs_labels and module.objective.phase_subtraction:
        light = module.fixed(seen.relative_intensity)
        turn = module.losses.without_mean_phase(batch["labels"][:, given], light)
    terms = _misfit(module, objects, seen, batch, given, turn)
    if batch["amplitude"].shape[1] > module.channels:
        others = _misfit(module, objects, module.unseen_optics(batch, canvas), batch, unseen, turn)
        # Both kinds count alike: only the unseen patterns punish a network that learns noise by heart.
        terms["loss"] = terms["loss"] + others["loss"]
        terms |= {f"predicted_{name}": value for name, value in others.items() if name != "loss"}
    plain = _regularisation(module, objects, module.fixed(seen.coverage))
    return terms | plain | {"loss": terms["loss"] + plain["loss"]}


def _misfit(
    module: LearningModule,
    objects: Tensor,
    optics: Optics,
    batch: dict[str, Tensor],
    patterns: slice,
    turn: Tensor | None,
) -> dict[str, Tensor]:
    """What compares some of the patterns with what was measured, or with labels."""
    o, losses = module.objective, module.losses
    learned = objects if o.looks_at_diffraction else module.fixed(objects)
    rate, counts, measured = module.rates(learned, optics, batch, patterns)
    deviance = losses.poisson_deviance(rate, counts, measured)
    terms = {"deviance": deviance, "nll": deviance + losses.saturated_nll(counts, measured)}
    weights = {"nll": o.nll_weight if o.looks_at_diffraction else 0.0}
    if o.mae_weight > 0:
        terms["mae"] = losses.amplitude_mae(rate, counts, measured)
        weights["mae"] = o.mae_weight if o.looks_at_diffraction else 0.0
    if o.needs_labels:
        labels = batch["labels"][:, patterns] * (BACKGROUND * module.model.probe_scale / 4)
        labels = labels if turn is None else labels * turn
        patches, light = optics.patches(objects), module.fixed(optics.relative_intensity)
        terms["amplitude_error"] = losses.amplitude_error(patches, labels, light)
        terms["phase_error"] = losses.phase_error(patches, labels, light)
        weights["amplitude_error"], weights["phase_error"] = o.label_weights
    return _weighted(module, terms, weights)


def _regularisation(module: LearningModule, objects: Tensor, light: Tensor) -> dict[str, Tensor]:
    """What looks at the object alone."""
    o, losses = module.objective, module.losses
    terms, weights = {}, {}
    if o.realspace_weight > 0:
        terms["total_variation"] = losses.total_variation(objects, light)
        weights["total_variation"] = o.realspace_weight
    chosen = {"amp_loss": (o.amp_loss, o.amp_loss_coeff), "phase_loss": (o.phase_loss, o.phase_loss_coeff)}
    for index, (name, (kind, coefficient)) in enumerate(chosen.items()):
        if kind is not None and coefficient > 0:
            terms[name] = getattr(losses, _REGULARISERS[kind][index])(objects, light)
            weights[name] = coefficient
    return _weighted(module, terms, weights)


def _weighted(
    module: LearningModule, terms: dict[str, Tensor], weights: Mapping[str, float]
) -> dict[str, Tensor]:
    """The terms for reading, and as ``loss`` their weighted sum; 0 without any weight."""
    total: Any = 0.0
    for name, weight in weights.items():
        if weight:
            total = total + weight * terms[name]
    return {name: module.fixed(value) for name, value in terms.items()} | {"loss": total}

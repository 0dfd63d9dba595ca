"""The Lightning module: network, probe and intensity scale, and one step of learning."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from pinn_config.architecture import network
from pinn_config.configs import ModelConfig
from pinn_config.execution import PyTorchExecutionConfig
from torch import Tensor, nn

from pinn_torch.checkpoints import monitored
from pinn_torch.errors import NotFiniteError, TorchRunError
from pinn_torch.losses import amplitude_mae, poisson_deviance, poisson_nll
from pinn_torch.network import PtychoNetwork
from pinn_torch.physics import GroupOptics, fourier_shift
from pinn_torch.schedule import Schedule

__all__ = ["BACKGROUND", "Batch", "PtychoPINN_Lightning", "normalised_probe", "probe_disk"]

Batch = dict[str, Tensor]
"""``amplitude`` (group, pattern, N, N) float32 with mean energy (N/2)**2, ``centres`` (group, pattern, 2)
int64 whole-pixel positions and ``fractions`` (group, pattern, 2) float32. The first `channels` patterns are
the network's input; those that follow it must predict without having seen them."""

BACKGROUND = math.sqrt(0.5)
"""Transmission of an empty object in the network's units, so that an amplitude below 1 has room above the
mean."""

# Milestones of MultiStage as fractions of the whole training, and the factor at each; Exponential's factor
# over the whole.
_MILESTONES, _STAGE_FACTOR, _EXPONENTIAL_TOTAL = (0.5, 0.75, 0.9), 0.4, 0.03
_WARM_UP_STEPS = 30


def normalised_probe(probe: Tensor, size: int, probe_scale: float) -> Tensor:
    """The probe (mode, N, N) with which an object of transmission `BACKGROUND` explains mean energy (N/2)**2.

    ``sum abs(probe)**2 == (N/2)**2 / BACKGROUND**2`` at the default ``probe_scale = 4``; the sum goes as
    ``probe_scale**-2``.
    """
    energy = (probe.real**2 + probe.imag**2).sum()
    return probe * ((size / 2) / BACKGROUND * (4.0 / probe_scale) / torch.sqrt(energy))


class PtychoPINN_Lightning(lightning.LightningModule):
    """Learns objects from diffraction alone: probe x predicted patch, Fourier transform, Poisson likelihood.

    model : ModelConfig
    probe : (mode, N, N) complex64, any scale; becomes the model's state, normalised
    intensity_scale : sqrt(photons a pattern) / (N/2), from network units to sqrt(photons)
    """

    def __init__(
        self,
        model: ModelConfig,
        probe: Tensor,
        intensity_scale: float,
        *,
        execution: PyTorchExecutionConfig | None = None,
        nll_weight: float = 1.0,
        mae_weight: float = 0.0,
        probe_trainable: bool = False,
        intensity_scale_trainable: bool = True,
    ) -> None:
        super().__init__()
        self._check_probe(probe, model.N)
        if nll_weight <= 0 and mae_weight <= 0:
            raise TorchRunError(
                "nll_weight and mae_weight are both 0, so nothing would be learned: set one of them above 0"
            )
        self.model = model
        self.execution = execution or PyTorchExecutionConfig()
        self.nll_weight, self.mae_weight = nll_weight, mae_weight
        self.network = PtychoNetwork(network(model))
        normalised = normalised_probe(probe.to(torch.complex64), model.N, model.probe_scale)
        self.probe_parts = nn.Parameter(torch.view_as_real(normalised).clone(), requires_grad=probe_trainable)
        self.log_intensity_scale = nn.Parameter(
            torch.tensor(math.log(intensity_scale), dtype=torch.float32),
            requires_grad=intensity_scale_trainable,
        )
        self.training_intensity_scale = float(intensity_scale)
        self.channels = model.gridsize**2
        kind = "poisson" if nll_weight > 0 else "mae"
        self.loss_name, self.val_loss_name = f"{kind}_train_loss", f"{kind}_val_loss"
        # How far the training is, 0 to 1; the training replaces it where seconds are limited too.
        self.progress: Any = lambda step: step / max(1, self.trainer.estimated_stepping_batches)
        # In place of the execution's scheduler, where a client brought its own (`pinn_torch.api`).
        self.schedule: Schedule | None = None

    def adopt(self, probe: Tensor, intensity_scale: float) -> None:
        """Take the probe (mode, N, N) and the intensity scale of the scan that is about to be learned.

        Raises TorchRunError for a probe that is not of the network's size.
        """
        self._check_probe(probe, self.model.N)
        normalised = normalised_probe(probe.to(torch.complex64), self.model.N, self.model.probe_scale)
        like = self.probe_parts
        self.probe_parts = nn.Parameter(
            torch.view_as_real(normalised).clone().to(like.device), requires_grad=like.requires_grad
        )
        with torch.no_grad():
            self.log_intensity_scale.fill_(math.log(intensity_scale))
        self.training_intensity_scale = float(intensity_scale)

    @staticmethod
    def _check_probe(probe: Tensor, N: int) -> None:
        if probe.ndim != 3 or probe.shape[-1] != N or probe.shape[-2] != N:
            raise TorchRunError(
                f"the probe has shape {tuple(probe.shape)}, but (modes, {N}, {N}) is needed: "
                f"crop the patterns and the probe to N={N}, or set N"
            )

    @property
    def probe(self) -> Tensor:
        """(mode, N, N) complex64, in network units."""
        probe = torch.view_as_complex(self.probe_parts)
        if self.model.probe_mask:
            probe = probe * probe_disk(self.model.N, probe.device)
        return probe

    def optics(self, batch: Batch, patterns: slice, corners: Tensor, canvas: int) -> GroupOptics:
        """The physics of some of each group's patterns on a canvas that holds them all."""
        probes = fourier_shift(self.probe, batch["fractions"][:, patterns])
        return GroupOptics(
            batch["amplitude"][:, patterns],
            probes,
            corners[:, patterns],
            canvas,
            BACKGROUND,
            self.model.gaussian_smoothing_sigma,
        )

    def corners(self, batch: Batch, patterns: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Each pattern's corner on its group's canvas (group, pattern, 2), and that canvas' corner on the
        object (group, 2)."""
        centres = batch["centres"][:, patterns]
        origin = centres.amin(1)
        return centres - origin[:, None], origin - self.model.N // 2

    def forward(self, batch: Batch, canvas: int, start: Tensor | None = None) -> tuple[Tensor, GroupOptics]:
        """The canvas (group, M, M) of each group in network units, and the physics of its input patterns."""
        given = slice(0, self.channels)
        corners, _ = self.corners(batch)
        optics = self.optics(batch, given, corners, canvas)
        return self.network(batch["amplitude"][:, given], optics, start), optics

    def loss(self, batch: Batch, canvas: int) -> dict[str, Tensor]:
        """``loss`` to minimise, and for reading: the Poisson ``nll`` and ``deviance`` of the patterns that
        the network saw (and of those it did not see: ``predicted_deviance``)."""
        objects, seen = self(batch, canvas)
        terms = self._misfit(objects, seen, batch["amplitude"][:, : self.channels])
        if batch["amplitude"].shape[1] > self.channels:
            unseen = slice(self.channels, None)
            optics = self.optics(batch, unseen, self.corners(batch)[0], canvas)
            others = self._misfit(objects, optics, batch["amplitude"][:, unseen])
            # Both kinds of patterns count alike: only the unseen ones punish a network that learns noise by
            # heart.
            terms["loss"] = terms["loss"] + others["loss"]
            terms["predicted_deviance"] = others["deviance"]
        return terms

    def _misfit(self, objects: Tensor, optics: GroupOptics, amplitude: Tensor) -> dict[str, Tensor]:
        scale = torch.exp(2 * self.log_intensity_scale)
        rate = optics.intensity(objects) * scale
        # What was counted: it does not move with the scale that is learned.
        counts = amplitude**2 * self.training_intensity_scale**2
        nll = poisson_nll(rate, counts)
        loss = self.nll_weight * nll
        if self.mae_weight > 0:
            loss = loss + self.mae_weight * amplitude_mae(rate, counts)
        return {"loss": loss, "nll": nll.detach(), "deviance": poisson_deviance(rate, counts).detach()}

    def training_step(self, batch: Batch, index: int) -> Tensor:
        terms = self.loss(batch, self.trainer.datamodule.canvas)
        if not torch.isfinite(terms["loss"]):
            raise NotFiniteError(
                f"the loss became {float(terms['loss'].detach())} at step {self.global_step}: "
                "lower the learning rate "
                f"(it is {self.execution.learning_rate:g}) or clip gradients with gradient_clip_val"
            )
        self.log_dict({f"train_{k}": v.detach() for k, v in terms.items()}, on_step=True, on_epoch=False)
        # The mean over the epoch, which schedulers, checkpoints and early stopping follow.
        self.log(
            self.loss_name,
            terms["loss"].detach(),
            on_step=False,
            on_epoch=True,
            batch_size=len(batch["amplitude"]),
        )
        return terms["loss"]

    def validation_step(self, batch: Batch, index: int) -> None:
        terms = self.loss(batch, self.trainer.datamodule.canvas)
        names = {f"val_{k}": v for k, v in terms.items()} | {self.val_loss_name: terms["loss"]}
        self.log_dict(names, on_epoch=True, batch_size=len(batch["amplitude"]))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What `pinn_torch.checkpoints.find_best_checkpoint` compares: the monitored metric's value."""
        name = monitored(self.execution, self, self.trainer.datamodule.validates)
        value = self.trainer.callback_metrics.get(name)
        if value is not None:
            checkpoint["pinn_torch_monitored"] = {
                "name": name,
                "mode": self.execution.checkpoint_mode,
                "value": float(value),
            }

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(
            [p for p in self.parameters() if p.requires_grad], lr=self.execution.learning_rate
        )
        if self.schedule is None and self.execution.scheduler == "Adaptive":
            follows = monitored(self.execution, self, self.trainer.datamodule.validates)
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, mode=self.execution.checkpoint_mode, factor=0.5, patience=2
            )
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": plateau, "monitor": follows, "interval": "epoch"},
            }
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self._factor(step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _factor(self, step: int) -> float:
        if self.schedule is not None:
            return self.schedule.factor(self.progress(step) if step else 0.0)
        if self.execution.scheduler == "Default":
            return 1.0
        # A short warm-up: Adam's first steps are full steps whatever the gradient.
        warm = min(1.0, (step + 1) / _WARM_UP_STEPS)
        done = self.progress(step) if step else 0.0
        if self.execution.scheduler == "Exponential":
            return warm * _EXPONENTIAL_TOTAL ** min(1.0, done)
        return warm * _STAGE_FACTOR ** sum(done >= milestone for milestone in _MILESTONES)


def probe_disk(size: int, device: torch.device) -> Tensor:
    """1 within N/4 of the centre, as the specification's probe mask."""
    r = torch.arange(size, device=device) - size // 2 + 0.5
    return (torch.hypot(r[:, None], r[None, :]) < size // 4).float()

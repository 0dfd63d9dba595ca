"""The Lightning module: network, probe and intensity scale, and one step of learning."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import lightning
import torch
from pinn_config.architecture import BACKGROUND, network
from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.learning_rate import learning_rate_factor
from pinn_config.objective import Objective
from pinn_data.learning.loss_functions import LossFunctions
from pinn_data.learning.loss_terms import check_objective, loss_of
from pinn_data.optics.probe import normalised_probe, probe_disk
from torch import Tensor, nn

from pinn_torch.distributed.batch_shares import Share
from pinn_torch.distributed.ranks import Team
from pinn_torch.errors import ModelArchiveError, NotFiniteError
from pinn_torch.model.batch_statistics import SharedStatistics, share_statistics
from pinn_torch.model.losses import LOSSES
from pinn_torch.model.network import PtychoNetwork
from pinn_torch.model.schedule import Schedule
from pinn_torch.optics.physics import GroupOptics, fourier_shift
from pinn_torch.settings.checkpoint_settings import SETTINGS, read_checkpoint, settings_in, settings_of

__all__ = ["BACKGROUND", "Batch", "PtychoPINN_Lightning"]

Batch = dict[str, Tensor]
"""``amplitude`` (group, pattern, N, N) float32 with mean energy (N/2)**2, ``centres`` (group, pattern, 2)
int64 whole-pixel positions and ``fractions`` (group, pattern, 2) float32; where the objective needs them also
``labels`` (group, pattern, N, N) complex64, see `pinn_data.grouping.labels`; where the scan has them
``measured`` and ``stray``, see `pinn_data.grouping.pattern_stack.PatternStack`. The first `channels` patterns
are the network's input; those that follow it must predict without having seen them."""


class PtychoPINN_Lightning(lightning.LightningModule):
    """Learns objects from diffraction alone: probe x predicted patch, Fourier transform, Poisson likelihood.
    Or from labels, as its objective says.

    model : ModelConfig
    probe : (mode, N, N) complex64, any scale; becomes the model's state, normalised
    intensity_scale : sqrt(photons a pattern) / (N/2), from network units to sqrt(photons)
    objective : what is minimised; default the Poisson likelihood
    """

    def __init__(
        self,
        model: ModelConfig,
        probe: Tensor,
        intensity_scale: float,
        *,
        execution: PyTorchExecutionConfig | None = None,
        objective: Objective | None = None,
        probe_trainable: bool = False,
        intensity_scale_trainable: bool = True,
    ) -> None:
        super().__init__()
        self.objective = objective or Objective()
        check_objective(self.objective, probe_trainable)
        self.model = model
        self.execution = execution or PyTorchExecutionConfig()
        self.network = PtychoNetwork(network(model))
        self.probe_parts = nn.Parameter(_parts_of(probe, model), requires_grad=probe_trainable)
        self.log_intensity_scale = nn.Parameter(
            torch.tensor(math.log(intensity_scale), dtype=torch.float32),
            requires_grad=intensity_scale_trainable and self.objective.looks_at_diffraction,
        )
        self.training_intensity_scale = float(intensity_scale)
        self.channels = model.gridsize**2
        # How far the training is at a step, 0 to 1; None goes by the steps alone.
        self.progress: Callable[[int], float] | None = None
        # What the training is, where one is configured; the file of a checkpoint says it.
        self.config: TrainingConfig | None = None
        # In place of the execution's scheduler, where a client brought its own (`pinn_torch.api`).
        self.schedule: Schedule | None = None

    @classmethod
    def of(
        cls, config: TrainingConfig, execution: PyTorchExecutionConfig, probe: Tensor, intensity_scale: float
    ) -> PtychoPINN_Lightning:
        """The untrained module of a training."""
        module = cls.__new__(cls)
        PtychoPINN_Lightning.__init__(  # that of a subclass may take other things
            module,
            config.model,
            probe,
            intensity_scale,
            execution=execution,
            objective=Objective.of(config),
            probe_trainable=config.probe_trainable,
            intensity_scale_trainable=config.intensity_scale_trainable,
        )
        module.config = config
        return module

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # with fewer arguments than Lightning's
        cls, checkpoint_path: Path | str, map_location: Any = None, *, weights_only: bool = True
    ) -> PtychoPINN_Lightning:
        """The module of a checkpoint that any training of this package left, in evaluation mode.

        The file alone is enough. It is read as data, so no code in it runs: there is no other way than
        `weights_only`.

        map_location : its device; None: the CPU

        Raises
        ------
        FileNotFoundError, ModelArchiveError (a ValueError)
            No checkpoint, or none that says what its module is made of.
        """
        checkpoint = read_checkpoint(Path(checkpoint_path), weights_only)
        config, execution, scale = settings_in(checkpoint, Path(checkpoint_path))
        probe = torch.view_as_complex(checkpoint["state_dict"]["probe_parts"].contiguous())
        module = cls.of(config, execution, probe, scale)
        module.take_weights(checkpoint["state_dict"], checkpoint_path)
        return module.to(map_location or "cpu").eval()

    def settings(self) -> dict[str, Any]:
        """What the module is made of, for a checkpoint; where no training was configured, of one that would
        make it."""
        config = self.config or self._training()
        return settings_of(config, self.execution, self.training_intensity_scale)

    def _training(self) -> TrainingConfig:
        weights = attrs.asdict(self.objective)
        kind: Any = "supervised" if weights.pop("supervised") else "pinn"
        return TrainingConfig(
            dataclasses.replace(self.model, model_type=kind),
            probe_trainable=self.probe_parts.requires_grad,
            intensity_scale_trainable=self.log_intensity_scale.requires_grad,
            **weights,
        )

    def take_weights(self, weights: dict[str, Tensor], path: Path | str) -> None:
        """Put the weights of the checkpoint at `path` in the place of those that are here.

        Raises ModelArchiveError (a ValueError) for those of another network.
        """
        try:
            self.load_state_dict(weights, strict=True)
        except RuntimeError as error:
            raise ModelArchiveError(
                f"the weights in {path} do not fit the network that the settings describe "
                f"({str(error).splitlines()[-1].strip()}): open it with the settings that it was trained "
                "with"
            ) from error

    def adopt(self, probe: Tensor, intensity_scale: float) -> None:
        """Take the probe (mode, N, N) and the intensity scale of the scan that is about to be learned.

        Raises RunError for a probe that is not of the network's size.
        """
        like = self.probe_parts
        self.probe_parts = nn.Parameter(
            _parts_of(probe, self.model).to(like.device), requires_grad=like.requires_grad
        )
        with torch.no_grad():
            self.log_intensity_scale.fill_(math.log(intensity_scale))
        self.training_intensity_scale = float(intensity_scale)

    @property
    def losses(self) -> LossFunctions:
        return LOSSES

    @property
    def train_loss_name(self) -> str:
        """The name under which the loss of the training is logged."""
        return self.objective.loss_name("train")

    loss_name = train_loss_name
    """As ptychodus calls it."""

    @property
    def val_loss_name(self) -> str:
        """The name under which the loss of the validation is logged."""
        return self.objective.loss_name("val")

    @property
    def probe(self) -> Tensor:
        """(mode, N, N) complex64, in network units."""
        probe = torch.view_as_complex(self.probe_parts)
        if self.model.probe_mask:
            probe = probe * torch.from_numpy(probe_disk(self.model.N)).to(probe.device)
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
            measured=batch["measured"][:, patterns] if "measured" in batch else None,
            stray=batch.get("stray"),
        )

    def corners(self, batch: Batch, patterns: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Each pattern's corner on its group's canvas (group, pattern, 2), and that canvas' corner on the
        object (group, 2)."""
        centres = batch["centres"][:, patterns]
        origin = centres.amin(1)
        return centres - origin[:, None], origin - self.model.N // 2

    def forward(self, batch: Batch, canvas: int) -> tuple[Tensor, GroupOptics]:
        """The canvas (group, M, M) of each group in network units, and the physics of its input patterns."""
        given = slice(0, self.channels)
        corners, _ = self.corners(batch)
        optics = self.optics(batch, given, corners, canvas)
        return self.network(batch["amplitude"][:, given], optics), optics

    def loss(self, batch: Batch, canvas: int) -> dict[str, Tensor]:
        """See `pinn_data.learning.loss_terms.loss_of`."""
        return loss_of(self, batch, canvas)

    def predict(self, batch: Batch, canvas: int) -> tuple[Tensor, GroupOptics]:
        return self(batch, canvas)

    def unseen_optics(self, batch: Batch, canvas: int) -> GroupOptics:
        return self.optics(batch, slice(self.channels, None), self.corners(batch)[0], canvas)

    def rates(
        self, objects: Tensor, optics: GroupOptics, batch: Batch, patterns: slice
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        rate = optics.intensity(objects) * torch.exp(2 * self.log_intensity_scale)
        # What was counted: it does not move with the scale that is learned.
        counts = batch["amplitude"][:, patterns] ** 2 * self.training_intensity_scale**2
        if optics.stray is not None:
            rate = rate + optics.stray * self.training_intensity_scale**2
        return rate, counts, optics.measured

    def fixed(self, value: Tensor) -> Tensor:
        return value.detach()

    def _data(self) -> Any:
        """The `ScanDataModule` that the trainer was given; Lightning does not declare the attribute."""
        trainer: Any = self.trainer
        return trainer.datamodule

    def training_step(self, batch: Batch, index: int) -> Tensor:
        data = self._data()
        share = data.shares[index]
        if data.team.size > 1:
            share_statistics(self.network, SharedStatistics(data.team, share.fraction > 0))
        terms = self.loss(batch, data.canvas)
        means = _over_all(terms, share, data.team)
        if not torch.isfinite(means["loss"]):
            raise NotFiniteError(
                f"the loss became {float(means['loss'])} at step {self.global_step}: "
                "lower the learning rate "
                f"(it is {self.execution.learning_rate:g}) or clip gradients with gradient_clip_val"
            )
        self.log_dict({f"train_{k}": v for k, v in means.items()}, on_step=True, on_epoch=False)
        # The mean over the epoch, which schedulers, checkpoints and early stopping follow.
        self.log(self.train_loss_name, means["loss"], on_step=False, on_epoch=True, batch_size=share.groups)
        return terms["loss"] if share.weight == 1 else terms["loss"] * share.weight

    def validation_step(self, batch: Batch, index: int) -> None:
        data = self._data()
        share = data.validation_shares[index]
        terms = _over_all(self.loss(batch, data.canvas), share, data.team)
        names = {f"val_{k}": v for k, v in terms.items()} | {self.val_loss_name: terms["loss"]}
        self.log_dict(names, on_epoch=True, batch_size=share.groups)

    def monitored(self, validates: bool) -> str:
        """The metric that checkpoints and schedulers follow; raises ConfigError as
        `pinn_config.objective.Objective.monitored` does."""
        return self.objective.monitored(self.execution.checkpoint_monitor_metric, validates)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What the module is made of, and what `pinn_torch.api.best_checkpoint` compares: the monitored
        metric's value."""
        checkpoint[SETTINGS] = self.settings()
        name = self.monitored(self._data().validates)
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
            follows = self.monitored(self._data().validates)
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer,
                mode=self.execution.checkpoint_mode,
                factor=0.5,
                patience=2,
                threshold=1e-4,
                threshold_mode="abs",  # not a share of the loss: a likelihood may be negative
            )
            course = {"scheduler": plateau, "monitor": follows, "interval": "epoch"}
            return [optimizer], [course, *self._warm_up_beside(optimizer)]
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self._factor(step))
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def _warm_up_beside(self, optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
        """The warm-up as a factor on a rate that another schedule changes by itself."""
        steps = self.execution.warmup_steps
        if not steps:
            return []
        rising = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / steps, total_iters=steps - 1)
        return [{"scheduler": rising, "interval": "step"}]

    def _factor(self, step: int) -> float:
        if self.schedule is not None:
            return self.schedule.factor(self._done(step))
        e = self.execution
        done = 0.0 if e.scheduler == "Default" else self._done(step)
        return learning_rate_factor(e.scheduler, step, done, e.warmup_steps)

    def _done(self, step: int) -> float:
        if not step:
            return 0.0
        if self.progress is not None:
            return self.progress(step)
        return step / max(1, self.trainer.estimated_stepping_batches)


def _over_all(terms: dict[str, Tensor], share: Share, team: Team) -> dict[str, Tensor]:
    """Means over the whole batch of what each process has as means over its share; without gradients."""
    if team.size == 1:
        return {name: value.detach() for name, value in terms.items()}
    own = torch.stack([value.detach() for value in terms.values()])
    # A share of 0 has computed what belongs to another process.
    own = own * share.fraction if share.fraction else torch.zeros_like(own)
    return dict(zip(terms, team.sum(own).unbind(), strict=True))


def _parts_of(probe: Tensor, model: ModelConfig) -> Tensor:
    """(mode, N, N, 2): real and imaginary part of the probe in network units."""
    normalised = normalised_probe(probe.detach().cpu().numpy(), model.N, model.probe_scale)
    return torch.view_as_real(torch.from_numpy(normalised)).clone()

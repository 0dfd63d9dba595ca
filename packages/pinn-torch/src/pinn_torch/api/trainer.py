"""A client's training."""

from __future__ import annotations

import dataclasses
from typing import Any

from pinn_data.command.plain_errors import plain_errors

from pinn_torch.api.configs import ConfigManager
from pinn_torch.api.data import PtychoDataLoader, unnormalised_probe_scale
from pinn_torch.api.model import PtychoModel
from pinn_torch.backend import TORCH
from pinn_torch.errors import RunError
from pinn_torch.runtime.devices import same_arithmetic_afterwards
from pinn_torch.workflows import TrainingResult

__all__ = ["Trainer"]


class PendingTrainer:
    """Where a client leaves its Lightning callbacks before the training starts: `callbacks` is a list."""

    def __init__(self) -> None:
        self.callbacks: list[Any] = []


class Trainer:
    """Made by `_from_lightning`; `train` runs it once."""

    def __init__(
        self, model: PtychoModel, dataloader: PtychoDataLoader, config_manager: ConfigManager
    ) -> None:
        if model.model is None:
            raise RunError("this PtychoModel has no network yet: make it with PtychoModel._new_model")
        self.model, self.dataloader, self.config_manager = model, dataloader, config_manager
        self._trainer = PendingTrainer()

    @classmethod
    def _from_lightning(
        cls,
        model: PtychoModel,
        dataloader: PtychoDataLoader,
        orchestration: str = "lightning",
        config_manager: ConfigManager | None = None,
    ) -> Trainer:
        """A training of `model` on the scan of `dataloader`."""
        _check(orchestration)
        return cls(model, dataloader, config_manager or ConfigManager.from_loaded_model(model))

    def train(self, orchestration: str = "lightning", experiment_name: str = "") -> TrainingResult:
        """Trains, keeps the best checkpoint under ``dataloader.output_dir/checkpoints`` and writes
        ``wts.h5.zip`` beside it.

        Callbacks in ``_trainer.callbacks`` are called by the Lightning trainer; they see
        ``callback_metrics`` with the module's `loss_name` and `val_loss_name`.

        Raises
        ------
        ValueError, RuntimeError
            One sentence; never a class of a framework.
        """
        _check(orchestration)
        configs, data = self.config_manager, self.dataloader
        module = self.model.model
        assert module is not None
        with plain_errors(), same_arithmetic_afterwards():
            config = configs.training(frames=len(data.scan), output_dir=data.output_dir)
            if not configs.data_config.probe_normalize:
                scale = unnormalised_probe_scale(data.scan)
                config.model = dataclasses.replace(config.model, probe_scale=scale)
                module.model = config.model
            job = TORCH.training_job(
                data.scan,
                config,
                configs.execution(),
                validation=data.validation,
                seed=configs.seed,
                max_seconds=None,
                provenance=configs.provenance()
                | ({"experiment": experiment_name} if experiment_name else {}),
            )
            return TORCH.run_job(job, module=module, callbacks=self._trainer.callbacks)


def _check(orchestration: str) -> None:
    if orchestration != "lightning":
        raise RunError(f"orchestration={orchestration!r} was given, but only 'lightning' is known")

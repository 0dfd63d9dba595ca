"""The five configurations of a client together, and the canonical configs that they become."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from pinn_config import configs as canonical
from pinn_config.errors import ConfigError
from pinn_config.execution import PyTorchExecutionConfig

from pinn_torch.model.schedule import Schedule, ScheduleKind
from pinn_torch.settings.config_bridge import (
    to_execution_config,
    to_inference_config,
    to_model_config,
    to_training_config,
)
from pinn_torch.settings.config_params import (
    DataConfig,
    DatagenConfig,
    InferenceConfig,
    ModelConfig,
    TrainingConfig,
)
from pinn_torch.settings.pytorch_view import data_config, inference_config, model_config, training_config

__all__ = ["ConfigManager"]

C = TypeVar("C")

# Activations of the encoder's and decoders' widest maps: a client's default of 1000 groups in one batch would
# take tens of gigabytes at N = 128, and a child that is killed for memory hangs ptychodus for ever.
_MEMORY = 2 << 30

_LIMITS = ("min_neighbor_distance", "max_neighbor_distance")


class ConfigManager:
    """The configurations of one run; mappings of their fields are accepted in their place."""

    def __init__(
        self,
        data_config: Any = None,
        model_config: Any = None,
        training_config: Any = None,
        inference_config: Any = None,
        datagen_config: Any = None,
    ) -> None:
        self.data_config = _as(DataConfig, data_config)
        self.model_config = _as(ModelConfig, model_config)
        self.training_config = _as(TrainingConfig, training_config)
        self.inference_config = _as(InferenceConfig, inference_config)
        self.datagen_config = _as(DatagenConfig, datagen_config)

    @classmethod
    def of(cls, config: canonical.TrainingConfig, execution: PyTorchExecutionConfig) -> ConfigManager:
        """The configurations that say what a training was which no client configured.

        All of the network; of what was learned and how, what these configurations have words for.
        """
        values = {**vars(execution), **vars(config), **vars(config.model)}
        return cls(
            data_config(values), model_config(values), training_config(values), inference_config(values)
        )

    @classmethod
    def from_loaded_model(cls, ptycho_model: Any) -> ConfigManager:
        """The configurations with which a `PtychoModel` was made."""
        return cls(
            ptycho_model.data_config,
            ptycho_model.model_config,
            ptycho_model.training_config,
            ptycho_model.inference_config,
        )

    def validate_arch_compatibility(self, ptycho_model: Any) -> None:
        """Returns if the loaded network is the one that these configurations describe.

        Raises
        ------
        ConfigError (a ValueError)
            Naming each setting that differs.
        """
        ours, loaded = self.model(), ptycho_model.model.model
        wrong = [
            f"{item.name}={getattr(ours, item.name)!r} (the model's is {getattr(loaded, item.name)!r})"
            for item in dataclasses.fields(ours)
            if item.name != "probe_scale" and getattr(ours, item.name) != getattr(loaded, item.name)
        ]
        if wrong:
            raise ConfigError(
                f"the settings and the model describe different networks: {', '.join(wrong)}: open a model "
                "that matches the settings, or train one"
            )

    def plain(self) -> dict[str, dict[str, Any]]:
        """The configurations as numbers, text and containers of them, for a checkpoint."""
        parts: dict[str, Any] = {
            "data": self.data_config,
            "model": self.model_config,
            "training": self.training_config,
            "inference": self.inference_config,
        }
        return {name: _plain(dataclasses.asdict(config)) for name, config in parts.items()}

    @property
    def gridsize(self) -> int:
        """Side of a group, in patterns."""
        return self.model().gridsize

    @property
    def seed(self) -> int:
        """Of everything random in the run."""
        return self.data_config.subsample_seed or 0

    def model(self) -> canonical.ModelConfig:
        """The canonical network."""
        overrides: dict[str, Any] = {}
        if not self.model_config.object_big:  # the client sends the number of patterns, but there is one map
            overrides["decoder_last_amp_channels"] = None
        return to_model_config(self._grouped, self.model_config, overrides)

    def training(self, frames: int, **overrides: Any) -> canonical.TrainingConfig:
        """The canonical training on a scan of so many frames."""
        given = {
            "train_data_file": "",
            "nphotons": self.data_config.nphotons,
            "n_groups": self._groups(frames),
        }
        return to_training_config(
            self.model(),
            self._grouped,
            self.model_config,
            self.training_config,
            given | {"nepochs": self._epochs} | overrides,
        )

    def inference(self, frames: int) -> canonical.InferenceConfig:
        """The canonical reconstruction of a scan of so many frames."""
        given = {"model_path": ".", "test_data_file": ".", "n_groups": self._groups(frames)}
        return to_inference_config(self.model(), self._grouped, self.inference_config, given)

    def execution(self, **overrides: Any) -> PyTorchExecutionConfig:
        """How either is executed."""
        largest = max(1, _MEMORY // (12 * 32 * self.model_config.n_filters_scale * self.data_config.N**2))
        given = {
            "inference_batch_size": min(self.inference_config.batch_size, largest),
            # The client does not say; bfloat16 where the processor has it is several times faster.
            "precision": "auto",
            # More than the machine has cores only wait for each other.
            "num_workers": min(self.training_config.num_workers, os.cpu_count() or 1),
        }
        if self.training_config.scheduler == "Cosine":  # the schedule below is it
            given["scheduler"] = "Default"
        return to_execution_config(self.training_config, self.inference_config, given | overrides)

    def schedule(self) -> Schedule | None:
        """The learning rate's course, where the client asks for one that no execution config has."""
        t = self.training_config
        if t.scheduler != "Cosine" and not t.warmup_epochs and not t.epochs_fine_tune:
            return None
        if t.scheduler not in ("Default", "Exponential", "Cosine"):
            raise ConfigError(
                f"scheduler={t.scheduler!r} has no warm-up and no fine-tuning: leave warmup_epochs and "
                "epochs_fine_tune at 0, or choose 'Default', 'Exponential' or 'Cosine'"
            )
        return Schedule(
            cast(ScheduleKind, t.scheduler),
            warm_up=min(1.0, t.warmup_epochs / self._epochs),
            floor=t.min_lr_ratio,
            fine_tuning=t.epochs_fine_tune / self._epochs,
            gamma=t.fine_tune_gamma,
        )

    @property
    def _grouped(self) -> DataConfig:
        """The data's settings as the bridge takes them.

        The client always sends limits of the neighbours' distance; the K nearest have none, and a group's
        canvas follows its patterns however far they lie.
        """
        if self.data_config.neighbor_function != "Nearest":
            return self.data_config
        fields = dataclasses.fields(DataConfig)
        free: dict[str, Any] = {item.name: item.default for item in fields if item.name in _LIMITS}
        return dataclasses.replace(self.data_config, **free)

    @property
    def _epochs(self) -> int:
        return self.training_config.epochs + self.training_config.epochs_fine_tune

    def _groups(self, frames: int) -> int:
        # A group of one pattern is that pattern, however often it is drawn.
        return frames * (self.data_config.n_subsample if self.gridsize > 1 else 1)

    def provenance(self) -> dict[str, Any]:
        """What the client wants remembered."""
        return {"model_name": self.training_config.model_name, "notes": self.training_config.notes}


def _as(kind: type[C], given: Any) -> C:
    if given is None:
        return kind()
    if isinstance(given, kind):
        return given
    if isinstance(given, Mapping):
        try:
            return kind(**given)
        except TypeError as error:
            raise ConfigError(
                f"these settings do not fit a {kind.__name__} ({error}): open the model with the version "
                "that wrote it"
            ) from error
    raise ConfigError(
        f"a {kind.__name__} of pinn_torch.settings.config_params is needed here, not {type(given).__name__}"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    # Paths as text; a mask of pixels, which is an array, as the circular one that it becomes.
    return True if hasattr(value, "shape") else str(value)

"""The Lightning module as a client makes and opens it: from its configurations, and from one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pinn_config.configs import TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.objective import Objective
from pinn_data.optics.probe import probe_disk
from torch import Tensor

from pinn_torch.api.configs import ConfigManager
from pinn_torch.model.module import PtychoPINN_Lightning
from pinn_torch.settings.checkpoint_settings import SETTINGS, read_checkpoint, settings_in

__all__ = ["ConfiguredModule"]

_KEY = "pinn_torch_client"


class ConfiguredModule(PtychoPINN_Lightning):
    """A `PtychoPINN_Lightning` from the configurations of a client.

    Its probe is a plain disk until a training gives it that of the scan. Its checkpoints are self-contained:
    weights, probe, intensity scale and configurations in one file that runs no code when it is opened.

    Raises
    ------
    ConfigError (a ValueError)
        Settings that cannot be honoured, all of them at once.
    """

    configs: ConfigManager

    def __init__(
        self,
        model_config: Any = None,
        data_config: Any = None,
        training_config: Any = None,
        inference_config: Any = None,
    ) -> None:
        self_configs = ConfigManager(data_config, model_config, training_config, inference_config)
        training = self_configs.training(frames=1)
        # The weights come of the run's seed, whatever was drawn before in this process.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self_configs.seed)
            super().__init__(
                training.model,
                _plain_disk(training.model.N),
                1.0,
                execution=self_configs.execution(),
                objective=Objective.of(training),
                probe_trainable=training.probe_trainable,
                intensity_scale_trainable=training.intensity_scale_trainable,
            )
        self.configs = self_configs
        self.schedule = self_configs.schedule()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint[_KEY] = {
            "configs": self.configs.plain(),
            "probe_scale": self.model.probe_scale,
            "training_intensity_scale": self.training_intensity_scale,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # The settings of a training that no client configured say the one in another place.
        said = checkpoint.get(_KEY) or checkpoint[SETTINGS] | checkpoint[SETTINGS]["config"]["model"]
        self.training_intensity_scale = float(said["training_intensity_scale"])
        self.model.probe_scale = float(said["probe_scale"])
        shape = checkpoint["state_dict"]["probe_parts"].shape
        if shape != self.probe_parts.shape:  # another number of modes than the disk's one
            self.probe_parts = torch.nn.Parameter(
                torch.empty(shape, device=self.probe_parts.device),
                requires_grad=self.probe_parts.requires_grad,
            )

    @classmethod
    def of(
        cls, config: TrainingConfig, execution: PyTorchExecutionConfig, probe: Tensor, intensity_scale: float
    ) -> ConfiguredModule:
        module = super().of(config, execution, probe, intensity_scale)
        assert isinstance(module, ConfiguredModule)
        module.configs = ConfigManager.of(config, execution)
        return module

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # with fewer arguments than Lightning's
        cls,
        checkpoint_path: Path | str,
        map_location: Any = None,
        *,
        weights_only: bool = True,
        model_config: Any = None,
        data_config: Any = None,
        training_config: Any = None,
        inference_config: Any = None,
    ) -> ConfiguredModule:
        """As `PtychoPINN_Lightning.load_from_checkpoint`.

        model_config, data_config, training_config, inference_config : in place of those of the checkpoint

        Raises
        ------
        FileNotFoundError, ModelArchiveError (a ValueError)
            No checkpoint, one that does not say what its module is made of, or one of another network.
        """
        path = Path(checkpoint_path)
        checkpoint = read_checkpoint(path, weights_only)
        given = (model_config, data_config, training_config, inference_config)
        if _KEY not in checkpoint and given == (None,) * 4:
            module = super().load_from_checkpoint(path, map_location)
            assert isinstance(module, ConfiguredModule)
            return module
        stored = configs_of(checkpoint, path)
        own = (stored.model_config, stored.data_config, stored.training_config, stored.inference_config)
        module = cls(*(theirs if ours is None else ours for ours, theirs in zip(given, own, strict=True)))
        module.on_load_checkpoint(checkpoint)
        module.take_weights(checkpoint["state_dict"], path)
        return module.to(map_location or "cpu").eval()


def configs_of(checkpoint: dict[str, Any], path: Path) -> ConfigManager:
    """The client's configurations in the checkpoint at `path`, or those that say what its training was.

    Raises ModelArchiveError (a ValueError) where it holds neither.
    """
    if _KEY in checkpoint:
        stored = checkpoint[_KEY]["configs"]
        return ConfigManager(stored["data"], stored["model"], stored["training"], stored["inference"])
    config, execution, _ = settings_in(checkpoint, path)
    return ConfigManager.of(config, execution)


def _plain_disk(size: int) -> Tensor:
    return torch.from_numpy(probe_disk(size)).to(torch.complex64)[None]

"""The Lightning module as a client makes and opens it: from its configurations, and from one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pinn_config.objective import Objective
from torch import Tensor

from pinn_torch.api.configs import ConfigManager
from pinn_torch.errors import ModelArchiveError
from pinn_torch.module import PtychoPINN_Lightning, probe_disk

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
        self.training_intensity_scale = float(checkpoint[_KEY]["training_intensity_scale"])
        self.model.probe_scale = float(checkpoint[_KEY]["probe_scale"])
        shape = checkpoint["state_dict"]["probe_parts"].shape
        if shape != self.probe_parts.shape:  # another number of modes than the disk's one
            self.probe_parts = torch.nn.Parameter(
                torch.empty(shape, device=self.probe_parts.device),
                requires_grad=self.probe_parts.requires_grad,
            )

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Path | str, **configs: Any) -> ConfiguredModule:  # type: ignore[override]
        """The module of a checkpoint, on the CPU and in evaluation mode.

        configs : ``model_config``, ``data_config``, ``training_config``, ``inference_config``; those of the
            checkpoint where they are not given

        Raises
        ------
        FileNotFoundError, ModelArchiveError (a ValueError)
            No checkpoint of such a module, or one of another network.
        """
        checkpoint = read_checkpoint(Path(checkpoint_path))
        stored = checkpoint[_KEY]["configs"]
        names = ("model_config", "data_config", "training_config", "inference_config")
        given = {name: configs.get(name) for name in names}
        module = cls(
            **{k: v if v is not None else stored[k.removesuffix("_config")] for k, v in given.items()}
        )
        module.on_load_checkpoint(checkpoint)
        try:
            module.load_state_dict(checkpoint["state_dict"], strict=True)
        except RuntimeError as error:
            raise ModelArchiveError(
                f"the weights in {checkpoint_path} are not those of the network that the settings describe "
                f"({str(error).splitlines()[-1].strip()}): open it with the settings that it was trained with"
            ) from error
        return module.eval()


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The contents of a checkpoint of a `ConfiguredModule`: numbers, text and containers of them only.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ModelArchiveError (a ValueError)
        It is not such a checkpoint.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint at {path}: choose a .ckpt file of a training")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelArchiveError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}): choose a .ckpt file that "
            "pinn-torch wrote"
        ) from error
    if not isinstance(checkpoint, dict) or _KEY not in checkpoint or "state_dict" not in checkpoint:
        raise ModelArchiveError(
            f"{path} is a checkpoint without the settings of its network: choose one that a training through "
            "ptycho_torch.api wrote, or open wts.h5.zip with pinn_torch.reconstruct"
        )
    return checkpoint


def configs_of(checkpoint: dict[str, Any]) -> ConfigManager:
    """The configurations that a checkpoint holds."""
    stored = checkpoint[_KEY]["configs"]
    return ConfigManager(stored["data"], stored["model"], stored["training"], stored["inference"])


def _plain_disk(size: int) -> Tensor:
    return probe_disk(size, torch.device("cpu")).to(torch.complex64)[None]

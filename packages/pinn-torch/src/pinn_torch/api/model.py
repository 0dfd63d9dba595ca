"""A network together with the configurations that it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pinn_data.command.plain_errors import plain_errors

from pinn_torch.api.configs import ConfigManager
from pinn_torch.api.module import ConfiguredModule, configs_of
from pinn_torch.settings.checkpoint_settings import read_checkpoint

__all__ = ["PtychoModel"]


class PtychoModel:
    """`model` is the Lightning module; None until it is set."""

    def __init__(
        self,
        model_config: Any = None,
        data_config: Any = None,
        training_config: Any = None,
        inference_config: Any = None,
    ) -> None:
        self.model_config, self.data_config = model_config, data_config
        self.training_config, self.inference_config = training_config, inference_config
        self.model: ConfiguredModule | None = None

    @classmethod
    def _new_model(cls, model: type[ConfiguredModule], config_manager: ConfigManager) -> PtychoModel:
        """An untrained network of the class `model`.

        Raises
        ------
        ConfigError (a ValueError)
            Settings that cannot be honoured, all of them at once.
        """
        c = config_manager
        result = cls(c.model_config, c.data_config, c.training_config, c.inference_config)
        with plain_errors():
            result.model = model(c.model_config, c.data_config, c.training_config, c.inference_config)
        return result

    @staticmethod
    def _extract_configs_from_checkpoint(path: str) -> tuple[Any, Any, Any, Any]:
        """The configurations ``(data, model, training, inference)`` of a checkpoint.

        Raises
        ------
        FileNotFoundError, ModelArchiveError (a ValueError)
            There is no such file, or it is not a checkpoint of ours.
        """
        with plain_errors():
            found = configs_of(read_checkpoint(Path(path)), Path(path))
        return found.data_config, found.model_config, found.training_config, found.inference_config

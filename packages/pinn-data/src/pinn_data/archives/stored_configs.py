"""The configurations of a training as its archive and its checkpoints store them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pinn_archive.contents import Archive
from pinn_config.configs import TrainingConfig
from pinn_config.errors import ConfigError
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.files import from_mapping

from pinn_data.archives.foreign_archive import use_archive
from pinn_data.errors import ModelArchiveError
from pinn_data.json_values import as_json

__all__ = ["archived_configs", "plain_configs", "read_archived_configs", "stored_configs"]

_PACKAGES = {"pytorch": "pinn-torch", "tensorflow": "pinn-tf"}


def plain_configs(config: TrainingConfig, execution: PyTorchExecutionConfig) -> dict[str, Any]:
    """Both configurations as numbers, text and containers of them; `stored_configs` is the inverse."""
    return {
        "config": as_json(dataclasses.asdict(config)),
        "execution": as_json(dataclasses.asdict(execution)),
    }


def read_archived_configs(path: Path, backend: str) -> tuple[TrainingConfig, PyTorchExecutionConfig]:
    """Read from the archive at `path` how its training was configured; its network is not read.

    Raises
    ------
    ArchiveNotFoundError (a FileNotFoundError), ArchiveError (a ValueError)
        No sound archive.
    ModelArchiveError (a ValueError)
        A configuration that this version does not know. If another backend than `backend` wrote the archive,
        the message names both.
    """
    return use_archive(path, backend, lambda archive: archived_configs(archive, path))


def archived_configs(archive: Archive, path: Path) -> tuple[TrainingConfig, PyTorchExecutionConfig]:
    """The configurations in an archive that was read from `path`; see `stored_configs`."""
    package = _PACKAGES.get(archive.backend, "")
    return stored_configs(archive.params, path, str(archive.provenance.get(package, archive.backend)))


def stored_configs(
    stored: Mapping[str, Any], path: Path, version: str
) -> tuple[TrainingConfig, PyTorchExecutionConfig]:
    """The configurations that `version` of a backend stored in the file at `path`.

    Fields that a later version added and values of another type are refused. Fields that are missing get
    their defaults.

    Raises ModelArchiveError.
    """
    try:
        config, execution = stored["config"], stored.get("execution", {})
        for name, value in (("config", config), ("model", config["model"]), ("execution", execution)):
            if not isinstance(value, Mapping):
                raise TypeError(f"{name} is a {type(value).__name__}")
        return (
            from_mapping(config, TrainingConfig, "config"),
            from_mapping(execution, PyTorchExecutionConfig, "execution"),
        )
    except (KeyError, TypeError, ConfigError) as error:
        raise ModelArchiveError(
            f"the configuration in {path} is not one that this version knows ({error}): "
            f"open it with the version that wrote it ({version})"
        ) from error

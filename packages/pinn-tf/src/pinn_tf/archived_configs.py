"""The configurations in a model archive, read without its network; importing this loads no framework."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pinn_archive.contents import Archive
from pinn_config.configs import TrainingConfig
from pinn_config.errors import ConfigError
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.files import from_mapping

from pinn_tf.archive_backend import opened
from pinn_tf.errors import ModelArchiveError

__all__ = ["archived_configs", "read_archived_configs"]


def read_archived_configs(path: Path) -> tuple[TrainingConfig, PyTorchExecutionConfig]:
    """What the training that wrote the archive at `path` was configured to be.

    Raises
    ------
    ArchiveNotFoundError (a FileNotFoundError), ArchiveError (a ValueError)
        No sound archive.
    ModelArchiveError (a ValueError)
        A configuration that this version does not know; of another backend: naming both.
    """
    return opened(path, lambda archive: archived_configs(archive, path))


def archived_configs(archive: Archive, path: Path) -> tuple[TrainingConfig, PyTorchExecutionConfig]:
    """The configurations in an archive that was read from `path`.

    Fields that a later version added are refused, as are values of another type; fields it lacks have their
    defaults.

    Raises ModelArchiveError.
    """
    try:
        stored, execution = archive.params["config"], archive.params.get("execution", {})
        for name, value in (("config", stored), ("model", stored["model"]), ("execution", execution)):
            if not isinstance(value, Mapping):
                raise TypeError(f"{name} is a {type(value).__name__}")
        return (
            from_mapping(stored, TrainingConfig, "config"),
            from_mapping(execution, PyTorchExecutionConfig, "execution"),
        )
    except (KeyError, TypeError, ConfigError) as error:
        raise ModelArchiveError(
            f"the configuration in {path} is not one that this version knows ({error}): "
            "open it with the version that wrote it "
            f"({archive.provenance.get('pinn-tf', archive.backend)})"
        ) from error

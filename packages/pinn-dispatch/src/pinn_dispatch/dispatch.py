"""Train and reconstruct with the backend that a config, or an archive, names.

The legacy dictionary is brought up to date before a backend is imported (specification, section 4.8), so that
code which reads it sees this run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pinn_dispatch.errors import BackendUnavailableError
from pinn_dispatch.registry import BACKENDS, load_backend

if TYPE_CHECKING:
    from pinn_config import InferenceConfig, PyTorchExecutionConfig, TrainingConfig
    from pinn_data.npz import Scan

    from pinn_dispatch.backend import ReconstructionResult, TrainingResult

__all__ = ["backend_of", "reconstruct", "train"]

T = TypeVar("T")


def train(
    scan: Scan,
    config: TrainingConfig,
    execution: PyTorchExecutionConfig | None = None,
    *,
    validation: Scan | None = None,
    seed: int = 0,
    max_seconds: float | None = None,
) -> TrainingResult:
    """A training with the backend ``config.backend``; parameters as in
    :meth:`pinn_dispatch.backend.Backend.train`.

    Raises what `load_backend` raises, `pinn_config.ConfigError` for a config that cannot be run, and what the
    backend raises.
    """
    from pinn_config import legacy, update_legacy_dict

    update_legacy_dict(legacy.cfg, config)
    backend = load_backend(config.backend)
    return _translated(
        config.backend,
        lambda: backend.train(
            scan, config, execution, validation=validation, seed=seed, max_seconds=max_seconds
        ),
    )


def reconstruct(
    model: Path,
    scan: Scan,
    config: InferenceConfig | None = None,
    execution: PyTorchExecutionConfig | None = None,
    *,
    seed: int = 0,
) -> ReconstructionResult:
    """A reconstruction with the backend that wrote the archive `model`, which also says what the network is.

    Raises what `load_backend` and `pinn_archive.read_manifest` raise, and what the backend raises.
    """
    name = backend_of(model)
    backend = load_backend(name)
    return _translated(name, lambda: backend.reconstruct(model, scan, config, execution, seed=seed))


def backend_of(model: Path) -> str:
    """Name of the backend that wrote the archive `model`; only its manifest is read."""
    from pinn_archive import read_manifest

    return read_manifest(model).backend


def _translated(name: str, call: Callable[[], T]) -> T:
    """What `call` returns. Backends import their framework when they are called, so a broken one shows
    here."""
    try:
        return call()
    except ImportError as error:
        row = BACKENDS[name]
        raise BackendUnavailableError(
            f"{row.title} backend selected, but it cannot be imported ({error}): run {row.install}"
        ) from error

"""The historical dispatchers, where pinn-dispatch is installed: it chooses between the two backends.

A backend does not know who chose it, so the functions are found as pinn-dispatch offers them, through the
entry-point group ``pinn.dispatch``. Importing this loads no framework.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinn_tf.errors import DispatchMissingError

if TYPE_CHECKING:
    from pinn_config.configs import InferenceConfig, TrainingConfig
    from pinn_config.execution import PyTorchExecutionConfig

__all__ = [
    "load_inference_bundle_with_backend",
    "run_cdi_example_with_backend",
    "save_with_backend",
    "train_cdi_model_with_backend",
]

_GROUP = "pinn.dispatch"


def run_cdi_example_with_backend(
    train_data: Any,
    test_data: Any,
    config: TrainingConfig,
    flip_x: bool = False,
    flip_y: bool = False,
    transpose: bool = False,
    M: int | None = 20,
    do_stitching: bool = False,
    torch_execution_config: PyTorchExecutionConfig | None = None,
) -> tuple[Any, Any, dict[str, Any]]:
    """``(amplitude, phase, results)`` of ``run_cdi_example`` of the backend ``config.backend``.

    Raises
    ------
    DispatchMissingError (a RuntimeError)
        pinn-dispatch is not installed.

    And whatever ``pinn_dispatch.dispatch.run_cdi_example_with_backend`` raises.
    """
    return _dispatcher("run_cdi_example_with_backend")(
        train_data, test_data, config, flip_x, flip_y, transpose, M, do_stitching, torch_execution_config
    )


def train_cdi_model_with_backend(
    train_data: Any,
    test_data: Any,
    config: TrainingConfig,
    torch_execution_config: PyTorchExecutionConfig | None = None,
) -> dict[str, Any]:
    """The results of ``train_cdi_model`` of the backend ``config.backend``; errors as for
    `run_cdi_example_with_backend`."""
    return _dispatcher("train_cdi_model_with_backend")(train_data, test_data, config, torch_execution_config)


def load_inference_bundle_with_backend(
    bundle_dir: str | os.PathLike[str],
    config: TrainingConfig | InferenceConfig,
    model_name: str = "diffraction_to_obj",
    torch_execution_config: PyTorchExecutionConfig | None = None,
) -> tuple[Any, dict[str, Any]]:
    """``(model, params)`` of an archive, opened by the backend ``config.backend``; errors as for
    `run_cdi_example_with_backend`."""
    return _dispatcher("load_inference_bundle_with_backend")(
        bundle_dir, config, model_name, torch_execution_config
    )


def save_with_backend(
    results: Mapping[str, Any] | Any,
    config: TrainingConfig | InferenceConfig,
    bundle_dir: str | os.PathLike[str] | None = None,
) -> Path:
    """The archive of a training, written into a folder by the backend ``config.backend``; errors as for
    `run_cdi_example_with_backend`."""
    return _dispatcher("save_with_backend")(results, config, bundle_dir)


def _dispatcher(name: str) -> Callable[..., Any]:
    for point in metadata.entry_points(group=_GROUP, name=name):
        return point.load()
    raise DispatchMissingError(
        f"{name} chooses between two backends, which needs pinn-dispatch, and that is not installed: run "
        "`pip install pinn-dispatch`, or call pinn_tf.components directly"
    )

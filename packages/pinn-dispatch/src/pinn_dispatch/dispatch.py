"""Train and reconstruct with the backend that a config, or an archive, names.

The legacy dictionary is brought up to date before a backend is imported (specification, section 4.8), so that
code which reads it sees this run. Execution settings never reach it.

The functions ``..._with_backend`` are the historical dispatchers: they hand scans in any form to the workflow
functions of ``ptycho.workflows.components`` or ``ptycho_torch.workflows.components``, by ``config.backend``,
and return what those return, for both backends the same. ``save_with_backend`` and
``load_inference_bundle_with_backend`` are the two ends of an archive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pinn_dispatch.errors import BackendUnavailableError, DispatchError
from pinn_dispatch.registry import installed_backends, load_backend, row_of

if TYPE_CHECKING:
    from pinn_config import InferenceConfig, PyTorchExecutionConfig, TrainingConfig
    from pinn_data.progress.reports import Watcher
    from pinn_data.scan.scan import Scan

    from pinn_dispatch.backend import Backend, ReconstructionResult, TrainingResult

__all__ = [
    "architecture_of",
    "backend_of",
    "load_inference_bundle_with_backend",
    "reconstruct",
    "run_cdi_example_with_backend",
    "save_with_backend",
    "train",
    "train_cdi_model_with_backend",
]

T = TypeVar("T")


def train(
    scan: Scan,
    config: TrainingConfig,
    execution: PyTorchExecutionConfig | None = None,
    *,
    validation: Scan | None = None,
    seed: int = 0,
    max_seconds: float | None = None,
    progress: Watcher | None = None,
) -> TrainingResult:
    """A training with the backend ``config.backend``; parameters as in
    :meth:`pinn_dispatch.backend.Backend.train`.

    Raises what `load_backend` raises, `pinn_config.ConfigError` for a config that cannot be run, and what the
    backend raises.
    """
    backend = _bridged_backend(config)
    return _translated(
        config.backend,
        lambda: backend.train(
            scan,
            config,
            execution,
            validation=validation,
            seed=seed,
            max_seconds=max_seconds,
            progress=progress,
        ),
    )


def reconstruct(
    model: Path,
    scan: Scan,
    config: InferenceConfig | None = None,
    execution: PyTorchExecutionConfig | None = None,
    *,
    seed: int = 0,
    backend: str | None = None,
    progress: Watcher | None = None,
) -> ReconstructionResult:
    """A reconstruction by the network in the archive `model`.

    backend : default the one that wrote the archive; the other opens it, too, unless the network has a layer
        that only one of them knows
    progress : is told how far it is, and may stop it (:mod:`pinn_data.progress.reports`)

    A `config` is bridged to the legacy dictionary first.

    Raises what `load_backend` and `pinn_archive.read_manifest` raise, and what the backend raises.
    """
    if config is not None:
        _bridge(config)
    name = backend or backend_of(model)
    engine = _other_backends_named(name) if backend is None else load_backend(name)
    return _translated(
        name, lambda: engine.reconstruct(model, scan, config, execution, seed=seed, progress=progress)
    )


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
    """``(amplitude, phase, results)`` of the workflow ``run_cdi_example`` of the backend ``config.backend``.

    torch_execution_config : how it is done; in spite of its name both backends take it, and refuse in one
        sentence what only the other one can do. None: as the backend was always used

    ``results`` is the table of :mod:`pinn_data.run.workflow_results`, with ``results['backend'] ==
    config.backend``; without stitching, amplitude and phase are None.

    Raises
    ------
    pinn_config.ConfigError (a ValueError)
        The config cannot be run; its backend is neither of the two.
    DispatchError (a ValueError)
        The execution settings are none.
    BackendUnavailableError (a RuntimeError)
        The backend cannot be imported; never another one in its place.

    And what the backend raises.
    """
    backend = _bridged_backend(config, torch_execution_config)
    amplitude, phase, results = _translated(
        config.backend,
        lambda: backend.run_cdi_example(
            train_data,
            test_data,
            config,
            flip_x,
            flip_y,
            transpose,
            M,
            do_stitching,
            execution_config=torch_execution_config,
        ),
    )
    return amplitude, phase, {**results, "backend": config.backend}


def train_cdi_model_with_backend(
    train_data: Any,
    test_data: Any,
    config: TrainingConfig,
    torch_execution_config: PyTorchExecutionConfig | None = None,
) -> dict[str, Any]:
    """The results of the workflow ``train_cdi_model`` of the backend ``config.backend``; parameters and
    errors as for `run_cdi_example_with_backend`."""
    backend = _bridged_backend(config, torch_execution_config)
    results = _translated(
        config.backend,
        lambda: backend.train_cdi_model(
            train_data, test_data, config, execution_config=torch_execution_config
        ),
    )
    return {**results, "backend": config.backend}


def load_inference_bundle_with_backend(
    bundle_dir: str | Path,
    config: TrainingConfig | InferenceConfig,
    model_name: str = "diffraction_to_obj",
    torch_execution_config: PyTorchExecutionConfig | None = None,
) -> tuple[Any, dict[str, Any]]:
    """``(model, params)`` of an archive, opened by the backend ``config.backend``.

    torch_execution_config : its ``accelerator`` says where the model lies; None: on the CPU with PyTorch, on
        the GPU where there is one with TensorFlow, as ever

    Afterwards the legacy dictionary holds what the archive was trained with. Raises what
    `run_cdi_example_with_backend` raises, and what the backend raises; an archive that it cannot open because
    another backend wrote it is a `ValueError` that names both, and the layer that one of them lacks.
    """
    backend = _bridged_backend(config, torch_execution_config)
    return _translated(
        config.backend,
        lambda: backend.load_inference_bundle(
            bundle_dir, model_name, execution_config=torch_execution_config
        ),
    )


def save_with_backend(
    results: Mapping[str, Any] | Any,
    config: TrainingConfig | InferenceConfig,
    bundle_dir: str | Path | None = None,
) -> Path:
    """The archive ``wts.h5.zip`` of a training, written by the backend ``config.backend`` into a folder.

    results : of `run_cdi_example_with_backend` or `train_cdi_model_with_backend`, or a model that
        `load_inference_bundle_with_backend` opened
    bundle_dir : the folder, which is made; None: ``config.output_dir``

    It is a copy of what the training left in its own ``output_dir``, where it had one. Execution settings are
    not asked for: the archive holds those of the training. Law: ``save`` after ``load`` gives the same
    weights, configuration and provenance.

    Raises
    ------
    DispatchError (a ValueError)
        No folder was named; the results are of another backend than ``config.backend``.

    And what `run_cdi_example_with_backend` raises, and what the backend raises: there is no model in
    `results`, or the folder cannot be written (an OSError).
    """
    backend = _bridged_backend(config)
    folder = Path(config.output_dir if bundle_dir is None else bundle_dir)
    if folder == Path() and bundle_dir is None:
        raise DispatchError(
            "no folder for the archive was given: set bundle_dir, or set output_dir in the configuration"
        )
    made_by = results.get("backend") if isinstance(results, Mapping) else None
    if made_by not in (None, config.backend):
        raise DispatchError(
            f"the results were made by the backend {made_by!r}, but config.backend is {config.backend!r}: "
            "save them with the backend that trained them; the other backend can open the archive"
        )
    return _translated(config.backend, lambda: backend.save_inference_bundle(results, folder))


def _bridge(config: TrainingConfig | InferenceConfig) -> None:
    from pinn_config import legacy, update_legacy_dict

    update_legacy_dict(legacy.cfg, config)


def _bridged_backend(
    config: TrainingConfig | InferenceConfig, execution: PyTorchExecutionConfig | None = None
) -> Backend:
    """The backend ``config.backend``, imported after the config was bridged."""
    _bridge(config)
    from pinn_config import PyTorchExecutionConfig

    if not isinstance(execution, PyTorchExecutionConfig | None):
        raise DispatchError(
            f"torch_execution_config is a {type(execution).__name__}, but a PyTorchExecutionConfig is "
            "needed: make one of pinn_config, or leave it out"
        )
    return load_backend(config.backend)


def _other_backends_named(name: str) -> Backend:
    """The backend that wrote an archive; where it is missing, the message names who else may open it."""
    try:
        return load_backend(name)
    except BackendUnavailableError as error:
        others = [other for other in installed_backends() if other != name]
        if not others:
            raise
        raise BackendUnavailableError(
            f"{error}, or open the archive with the backend {' or '.join(map(repr, others))}, which is "
            "installed"
        ) from error


def backend_of(model: Path) -> str:
    """Name of the backend that wrote the archive `model`; only its manifest is read."""
    from pinn_archive import read_manifest

    return read_manifest(model).backend


def architecture_of(model: Path) -> str | None:
    """Name of the network's architecture in the archive `model`; None where the archive does not tell."""
    from pinn_archive import read_archive

    told: Any = read_archive(model).params
    for name in ("config", "model", "architecture"):
        told = told.get(name) if isinstance(told, dict) else None
    return told if isinstance(told, str) else None


def _translated(name: str, call: Callable[[], T]) -> T:
    """What `call` returns. Backends import their framework when they are called, so a broken one shows
    here."""
    try:
        return call()
    except ImportError as error:
        row = row_of(name)
        raise BackendUnavailableError(
            f"{row.title} backend selected, but it cannot be imported ({error}): run {row.install}"
        ) from error

"""What a backend is: a module with six functions, and what they return.

A backend is a module, named by an entry point of the group ``pinn.backends``. It need not import this one:
:func:`shortcomings` compares signatures.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pinn_config import InferenceConfig, PyTorchExecutionConfig, TrainingConfig
    from pinn_data.progress.reports import Watcher
    from pinn_data.scan.positions import Canvas
    from pinn_data.scan.refined import Refined
    from pinn_data.scan.scan import Scan

__all__ = ["FUNCTIONS", "Backend", "ReconstructionResult", "TrainingResult", "shortcomings"]


class TrainingResult(Protocol):
    """A training.

    archive : the file ``wts.h5.zip``
    history : one mapping a record: ``step``, ``epoch``, ``seconds``, ``train_loss``, ``val_loss`` (or None)
    seconds : of training alone
    parameters : number of trained numbers
    cancelled : a watcher stopped it; the archive holds what was learned so far
    scales : see :func:`pinn_data.run.results.scales`
    provenance : see :mod:`pinn_data.run.run_record`
    """

    archive: Path
    history: Sequence[Mapping[str, Any]]
    seconds: float
    parameters: int
    cancelled: bool
    scales: Mapping[str, float]
    provenance: Mapping[str, Any]


class ReconstructionResult(Protocol):
    """A reconstruction.

    object : (H, W) complex64 on `canvas`; 0 where nothing is known
    coverage : (H, W) float32, the weight that each pixel got
    positions : (n, 2) float64, object pixels, as (y, x)
    residual : R of all frames, see :func:`pinn_data.metrics.scores.residual`
    probe : ([modes,] N, N) complex64, sqrt(counts)
    seconds : ``network``, ``stitching``, ``total``
    gridsize : of the network
    scales : see :func:`pinn_data.run.results.scales`
    provenance : see :mod:`pinn_data.run.run_record`
    refined : what the solver found besides; None: the image is the network's own
    """

    object: NDArray[np.complex64]
    coverage: NDArray[np.float32]
    canvas: Canvas
    positions: NDArray[np.float64]
    residual: float
    probe: NDArray[np.complex64]
    seconds: Mapping[str, float]
    gridsize: int
    scales: Mapping[str, float]
    provenance: Mapping[str, Any]
    refined: Refined | None

    def predict_amplitude(self, frame: int) -> NDArray[np.float64]:
        """The pattern that this object gives at `frame`, (N, N), sqrt(counts)."""


class Backend(Protocol):
    """The functions of a backend."""

    def train(
        self,
        scan: Scan,
        config: TrainingConfig,
        execution: PyTorchExecutionConfig | None = None,
        *,
        validation: Scan | None = None,
        seed: int = 0,
        max_seconds: float | None = None,
        progress: Watcher | None = None,
    ) -> TrainingResult:
        """Learns `scan`, after the solver has put it right where ``config.refine`` says so, and writes the
        archive into ``config.output_dir``.

        progress : is told after every batch how far it is, and may stop it: the laws are those of
            :mod:`pinn_data.progress.reports`
        """

    def reconstruct(
        self,
        model: Path,
        scan: Scan,
        config: InferenceConfig | None = None,
        execution: PyTorchExecutionConfig | None = None,
        *,
        seed: int = 0,
        progress: Watcher | None = None,
    ) -> ReconstructionResult:
        """The object of `scan`, by the network in the archive `model` and then by the solver, unless
        ``config.refine`` is 'none'; `progress` as in `train`."""

    def run_cdi_example(
        self,
        train_data: Any,
        test_data: Any,
        config: TrainingConfig,
        flip_x: bool = False,
        flip_y: bool = False,
        transpose: bool = False,
        M: int | None = 20,
        do_stitching: bool = False,
        execution_config: PyTorchExecutionConfig | None = None,
    ) -> tuple[Any, Any, dict[str, Any]]:
        """Amplitude and phase, (H, W) or None without stitching, and results, for every backend those of the
        table in :mod:`pinn_data.run.workflow_results`."""

    def train_cdi_model(
        self,
        train_data: Any,
        test_data: Any,
        config: TrainingConfig,
        execution_config: PyTorchExecutionConfig | None = None,
    ) -> dict[str, Any]:
        """The same results, without an image."""

    def load_inference_bundle(
        self,
        bundle_dir: str | Path,
        model_name: str = "diffraction_to_obj",
        execution_config: PyTorchExecutionConfig | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """A model of an archive, on the device of the execution settings, and the legacy dictionary that it
        was trained with, now in force."""

    def save_inference_bundle(self, results: Any, bundle_dir: str | Path) -> Path:
        """Writes the archive of a training whose `results` are given; a model that was opened will do."""


FUNCTIONS = (
    "train",
    "reconstruct",
    "run_cdi_example",
    "train_cdi_model",
    "load_inference_bundle",
    "save_inference_bundle",
)
"""The functions of a :class:`Backend`."""


def shortcomings(module: ModuleType | Any) -> list[str]:
    """One sentence for each way in which `module` is no :class:`Backend`; empty if it is one.

    Its functions must take the parameters of the protocol under the same names and in the same places;
    further ones must have defaults.
    """
    problems = []
    for name in FUNCTIONS:
        function = getattr(module, name, None)
        if not callable(function):
            problems.append(f"it has no function {name!r}")
            continue
        wanted = [
            p for p in inspect.signature(getattr(Backend, name)).parameters.values() if p.name != "self"
        ]
        found = list(inspect.signature(function).parameters.values())
        places = [p.name for p in found if p.kind is not p.KEYWORD_ONLY]
        for place, parameter in enumerate(wanted):
            keyword_only = parameter.kind is parameter.KEYWORD_ONLY
            fits = (
                parameter.name in {p.name for p in found}
                if keyword_only
                else places[place : place + 1] == [parameter.name]
            )
            if not fits:
                problems.append(f"{name}() does not take {parameter.name!r} in the right place")
        known = {p.name for p in wanted}
        problems += [
            f"{name}() needs {p.name!r}, which is never passed"
            for p in found
            if p.name not in known
            and p.default is p.empty
            and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        ]
    return problems

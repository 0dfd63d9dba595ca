"""One reconstruction by a trained network as a value, and the network as shared code sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, Protocol

import attrs
from numpy.typing import NDArray
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.execution import Precision, PyTorchExecutionConfig
from pinn_config.validation import validate

from pinn_data.errors import RunError
from pinn_data.scan.positions import Canvas, canvas_for
from pinn_data.scan.scan import Scan
from pinn_data.stitching.counting import Counting, Window
from pinn_data.stitching.cropping import without_border

__all__ = ["NetworkOnScan", "ReconstructionJob", "TrainedNetwork"]


class TrainedNetwork(Protocol):
    """What a backend's trained model says of itself."""

    @property
    def config(self) -> TrainingConfig:
        """The configuration of its training."""

    @property
    def probe_trained(self) -> bool:
        """Whether the probe was learned: then it is the one to reconstruct with."""

    @property
    def gain(self) -> float:
        """Learned factor on the intensity scale, which is measured on each scan."""


class NetworkOnScan(Protocol):
    """A trained network of a backend, on its device, with the probe that it computes with.

    probe : (mode, N, N) complex64, in network units
    whole_probe : the same without the mask of ``probe_mask``
    place : name of the device, for the log
    """

    place: str

    probe: NDArray[Any]
    whole_probe: NDArray[Any]

    def windows_of(
        self, size: int, window: Window, counting: Counting
    ) -> Callable[[Mapping[str, NDArray[Any]]], tuple[NDArray[Any], ...]]:
        """A function of a batch of groups (`pinn_data.grouping.pattern_stack.PatternStack.batch`).

        It returns the windows (group, m, m) complex64 of the groups' canvases of `size` pixels, their light
        (group, m, m) float32 and, unless ``counting.is_plain``, how much their pixels count.
        """

    def intensities(
        self, probe: NDArray[Any], patches: NDArray[Any], fractions: NDArray[Any], smoothing_sigma: float
    ) -> NDArray[Any]:
        """Predicted counts (frame, N, N) float32 of patches (frame, N, N) at these fractions of positions.

        probe : (mode, N, N) complex, in sqrt(photons)
        """


@attrs.frozen(eq=False)
class ReconstructionJob:
    """A reconstruction that can begin. It can be pickled, so that several processes can do it together.

    config : its ``model`` is that of the network
    execution : with the precision and the size of a batch that are used
    canvas : holds all patches; inner : is left of it within the border
    counting : which pixels of a patch count
    """

    scan: Scan
    config: InferenceConfig
    execution: PyTorchExecutionConfig
    probe_trained: bool
    gain: float
    canvas: Canvas
    inner: Canvas
    counting: Counting
    seed: int

    @classmethod
    def of(
        cls,
        trained: TrainedNetwork,
        scan: Scan,
        config: InferenceConfig | None,
        execution: PyTorchExecutionConfig,
        *,
        precision: Precision,
        seed: int,
    ) -> ReconstructionJob:
        """Check that scan, network and configuration fit together.

        config : None: the defaults

        Raises ConfigError, RunError, PositionError, ShapeError.
        """
        model = trained.config.model
        config = config or InferenceConfig(model=model)
        validate(config)
        if scan.N != model.N:
            raise RunError(
                f"the patterns are {scan.N} x {scan.N}, but the model was trained for N={model.N}: "
                "crop or pad the patterns, or train a model for their size"
            )
        _refuse_other_network(config.model, model)
        canvas = canvas_for(scan.positions, scan.N)
        return cls(
            scan,
            replace(config, model=model),
            replace(
                execution,
                precision=precision,
                inference_batch_size=execution.inference_batch_size or trained.config.batch_size,
            ),
            trained.probe_trained,
            trained.gain,
            canvas,
            without_border(canvas, config.border_px),
            Counting.of(scan.N, config.patch_weighting, execution.middle_trim, execution.pad_eval),
            seed,
        )


def _refuse_other_network(asked: ModelConfig, trained: ModelConfig) -> None:
    """The archive says what the network is; a config may repeat it or leave it at the defaults."""
    wrong = [
        f"{item.name}={getattr(asked, item.name)!r} (the archive's is {getattr(trained, item.name)!r})"
        for item in fields(ModelConfig)
        if getattr(asked, item.name) not in (item.default, getattr(trained, item.name))
    ]
    if wrong:
        raise RunError(
            f"the configuration asks for another network than the archive holds: {', '.join(wrong)}: "
            "leave these out, or open an archive of such a network"
        )

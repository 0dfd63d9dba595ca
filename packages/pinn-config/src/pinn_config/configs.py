"""The configs of a run: network, training, reconstruction.

The three dataclasses are public API of the specification (sections 2.1 and 5.1 to 5.3). They are mutable,
because clients build them with ``N=0`` and ``Path()`` and fill in the rest later; so constructors check
nothing, and whoever acts on a config calls `pinn_config.validation.validate` first. Text is accepted where a
path belongs and becomes a `Path`.

Each field's ``metadata["help"]`` is its one description: YAML files and command lines show it.
"""

# ruff: noqa: RUF009 - `setting` returns a dataclasses.field, which is made for each class anew

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pinn_config.refining import PARTS

__all__ = ["DEFAULT_N_GROUPS", "Framework", "InferenceConfig", "ModelConfig", "TrainingConfig", "setting"]

Framework = Literal["tensorflow", "pytorch"]

DEFAULT_N_GROUPS = 512
"""Groups that a training draws when neither `n_groups` nor `n_images` is given."""

_NEIGHBOR_COUNT = "K: group members are drawn from the anchor's K nearest neighbours"
_NEIGHBOR_FUNCTION = "neighbour selection: nearest, within the distance limits, or from all four quadrants"
_MIN_DISTANCE = "minimum distance of a neighbour from the anchor; unit set by scan_pattern"
_MAX_DISTANCE = "maximum distance of a neighbour from the anchor; unit set by scan_pattern"
_SCAN_PATTERN = "unit of neighbour distances: pixels (Isotropic) or scan steps along each axis (Rectangular)"
_REFINE_CHOICES = f"auto, none (no solver), or a comma-separated list of {', '.join(PARTS)}"


def setting(default: Any, help: str, *, unset: str | None = None) -> Any:
    """A dataclass field with its default and its one-line description.

    unset : what None means, where None is the default
    """
    return field(default=default, metadata={"help": help, "unset": unset})


@dataclass
class ModelConfig:
    """The network and the physics in it (specification, section 5.1)."""

    N: int = setting(64, "side of a diffraction pattern, even [pixels]")
    gridsize: int = setting(
        1, "group size: gridsize x gridsize neighbouring patterns, one network channel each"
    )
    n_filters_scale: int = setting(2, "factor on the number of filters in every layer")
    model_type: Literal["pinn", "supervised"] = setting(
        "pinn", "training target: the diffraction data (pinn) or the object in the file (supervised)"
    )
    amp_activation: Literal["sigmoid", "swish", "softplus", "relu"] = setting(
        "sigmoid", "activation function of the amplitude output"
    )
    object_big: bool = setting(
        True, "merge the patches of a group into one canvas before computing the diffraction"
    )
    probe_big: bool = setting(True, "also reconstruct the outer ring of each patch, at low resolution")
    probe_mask: bool = setting(False, "confine the probe with a circular mask")
    pad_object: bool = setting(True, "decode only the centre of each patch and pad the rest")
    probe_scale: float = setting(4.0, "probe normalisation: the mean probe amplitude becomes 1 / probe_scale")
    gaussian_smoothing_sigma: float = setting(
        0.0, "sigma of the Gaussian smoothing of the illuminated object; 0 for none [pixels]"
    )
    architecture: str = setting("refined", "network architecture")
    cbam_encoder: bool = setting(False, "channel and spatial attention (CBAM) in the encoder blocks")
    cbam_bottleneck: bool = setting(False, "channel and spatial attention (CBAM) at the lowest resolution")
    cbam_decoder: bool = setting(False, "channel and spatial attention (CBAM) in the decoder blocks")
    eca_encoder: bool = setting(False, "efficient channel attention (ECA) in the encoder blocks")
    eca_decoder: bool = setting(False, "efficient channel attention (ECA) in the decoder blocks")
    spatial_decoder: bool = setting(False, "spatial attention in the decoder blocks")
    decoder_spatial_kernel: int = setting(7, "kernel side of the spatial attention, odd [pixels]")
    batch_norm: bool = setting(False, "batch normalisation after every hidden convolution")
    use_shared_decoder: bool = setting(
        False, "one decoder for amplitude and phase, with separate output heads"
    )
    decoder_last_c_outer_fraction: float | None = setting(
        None, "fraction of the last decoder features used for the outer ring", unset="4 features"
    )
    decoder_last_amp_channels: int | None = setting(
        None,
        "amplitude maps per group: 1 (shared by all patterns) or gridsize**2",
        unset="as many as phase maps",
    )


@dataclass
class TrainingConfig:
    """A training (specification, section 5.2)."""

    model: ModelConfig
    train_data_file: Path | None = setting(None, "NPZ file with the training scan")
    test_data_file: Path | None = setting(None, "NPZ file with the validation scan", unset="no validation")
    batch_size: int = setting(16, "groups per optimiser step")
    nepochs: int = setting(50, "number of epochs (passes over all groups)")
    mae_weight: float = setting(0.0, "weight of the mean absolute error of the diffraction amplitudes")
    nll_weight: float = setting(1.0, "weight of the Poisson negative log-likelihood of the counts")
    realspace_mae_weight: float = setting(
        0.0, "weight of the error against the object in the file, within the real-space loss"
    )
    realspace_weight: float = setting(0.0, "weight of the real-space loss (total variation and object error)")
    nphotons: float = setting(1e9, "mean photons per pattern, used if the data do not state them")
    n_groups: int | None = setting(
        None, "number of groups to draw", unset=f"{DEFAULT_N_GROUPS}, or one per pattern with pinn train"
    )
    n_images: int | None = setting(None, "deprecated: use n_groups")
    n_subsample: int | None = setting(None, "number of patterns to use, drawn at random", unset="all")
    subsample_seed: int | None = setting(None, "random seed for n_subsample", unset="seed of the run")
    neighbor_count: int = setting(4, _NEIGHBOR_COUNT)
    neighbor_function: Literal["Nearest", "Min_dist", "4_quadrant"] = setting("Nearest", _NEIGHBOR_FUNCTION)
    min_neighbor_distance: float = setting(0.0, _MIN_DISTANCE)
    max_neighbor_distance: float | None = setting(None, _MAX_DISTANCE, unset="no limit")
    scan_pattern: Literal["Isotropic", "Rectangular"] = setting("Isotropic", _SCAN_PATTERN)
    positions_provided: bool = setting(True, "legacy setting without effect: a scan always has positions")
    probe_trainable: bool = setting(False, "also optimise the probe")
    intensity_scale_trainable: bool = setting(True, "also optimise the intensity scale")
    output_dir: Path = setting(Path("training_outputs"), "output folder (archive, logs, checkpoints)")
    sequential_sampling: bool = setting(
        False, "take the first patterns of the scan as anchors, in order, instead of random ones"
    )
    backend: Framework = setting("tensorflow", "framework for the training")
    predicted_neighbors: int = setting(
        3, "held-out neighbours per group that the network must predict (overlap constraint)"
    )
    validation_groups: int = setting(256, "largest number of groups that validate the training")
    amp_loss: Literal["Total_Variation", "Mean_Deviation"] | None = setting(
        None, "regulariser of the object amplitude", unset="no regulariser"
    )
    phase_loss: Literal["Total_Variation", "Mean_Deviation"] | None = setting(
        None, "regulariser of the object phase", unset="no regulariser"
    )
    amp_loss_coeff: float = setting(1.0, "weight of amp_loss")
    phase_loss_coeff: float = setting(1.0, "weight of phase_loss")
    phase_subtraction: bool = setting(True, "subtract the mean phase of the objects in supervised training")
    refine: str | None = setting(
        None,
        "refinement by the physics solver, before training and in an image made right after it: "
        f"{_REFINE_CHOICES}",
        unset="no solver",
    )

    def __post_init__(self) -> None:
        _as_paths(self, "train_data_file", "test_data_file", "output_dir")
        _adopt_n_images(self)
        if self.n_groups is None:
            self.n_groups = DEFAULT_N_GROUPS


@dataclass
class InferenceConfig:
    """A reconstruction with a trained network (specification, section 5.3)."""

    model: ModelConfig
    model_path: Path = setting(Path(), "trained model: wts.h5.zip or its folder")
    test_data_file: Path | None = setting(None, "NPZ file with the scan to reconstruct")
    n_groups: int | None = setting(None, "number of groups to reconstruct", unset="all")
    n_images: int | None = setting(None, "deprecated: use n_groups")
    n_subsample: int | None = setting(None, "number of patterns to use, drawn at random", unset="all")
    subsample_seed: int | None = setting(None, "random seed for n_subsample", unset="seed of the run")
    neighbor_count: int = setting(4, _NEIGHBOR_COUNT)
    neighbor_function: Literal["Nearest", "Min_dist", "4_quadrant"] = setting("Nearest", _NEIGHBOR_FUNCTION)
    min_neighbor_distance: float = setting(0.0, _MIN_DISTANCE)
    max_neighbor_distance: float | None = setting(None, _MAX_DISTANCE, unset="no limit")
    scan_pattern: Literal["Isotropic", "Rectangular"] = setting("Isotropic", _SCAN_PATTERN)
    debug: bool = setting(False, "detailed log")
    output_dir: Path = setting(Path("inference_outputs"), "output folder (reconstruction and pictures)")
    backend: Framework = setting("tensorflow", "framework for the reconstruction")
    patch_weighting: Literal["probe", "uniform"] = setting(
        "probe", "weight of pixels where patches overlap: probe intensity, or uniform"
    )
    border_px: int = setting(0, "width of the border to crop from the image [pixels]")
    refine: str | None = setting(
        None,
        f"refinement by the physics solver, starting from the network's image: {_REFINE_CHOICES}",
        unset="auto",
    )

    def __post_init__(self) -> None:
        _as_paths(self, "model_path", "test_data_file", "output_dir")
        _adopt_n_images(self)


def _as_paths(config: Any, *names: str) -> None:
    for name in names:
        if isinstance(getattr(config, name), str):
            setattr(config, name, Path(getattr(config, name)))


def _adopt_n_images(config: TrainingConfig | InferenceConfig) -> None:
    if config.n_images is not None and config.n_groups is None:
        warnings.warn(
            "Parameter 'n_images' is deprecated: give 'n_groups' instead.",
            DeprecationWarning,
            stacklevel=4,  # this function, __post_init__, __init__, the caller
        )
        config.n_groups = config.n_images

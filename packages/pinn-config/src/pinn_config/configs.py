"""What a run is: the network, the training, the reconstruction.

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

_REFINED = f"auto, none (no solver), or some of {', '.join(PARTS)} with commas between"


def setting(default: Any, help: str) -> Any:
    """A dataclass field with its default and its one-line description."""
    return field(default=default, metadata={"help": help})


@dataclass
class ModelConfig:
    """The network and the physics in it (specification, section 5.1)."""

    N: int = setting(64, "pixels along one side of a diffraction pattern; even")
    gridsize: int = setting(1, "a group has gridsize x gridsize neighbouring patterns, one channel each")
    n_filters_scale: int = setting(2, "multiplies the number of filters of every layer")
    model_type: Literal["pinn", "supervised"] = setting(
        "pinn", "learn from the diffraction, or from the object in the file in its place"
    )
    amp_activation: Literal["sigmoid", "swish", "softplus", "relu"] = setting(
        "sigmoid", "activation of the amplitude"
    )
    object_big: bool = setting(True, "the patches of a group are merged into one canvas before they diffract")
    probe_big: bool = setting(True, "the outer ring of a patch is reconstructed too, at low resolution")
    probe_mask: bool = setting(False, "a circular mask confines the probe")
    pad_object: bool = setting(True, "the decoder fills the centre of a patch and the rest is padded")
    probe_scale: float = setting(4.0, "the mean amplitude of the probe is normalised to 1 / probe_scale")
    gaussian_smoothing_sigma: float = setting(
        0.0, "width of the smoothing of the illuminated object, in pixels"
    )
    architecture: str = setting("refined", "which network; see pinn_config.architecture")
    cbam_encoder: bool = setting(False, "channel and spatial attention (CBAM) in the encoder's blocks")
    cbam_bottleneck: bool = setting(False, "channel and spatial attention (CBAM) at the lowest resolution")
    cbam_decoder: bool = setting(False, "channel and spatial attention (CBAM) in the decoder's blocks")
    eca_encoder: bool = setting(False, "efficient channel attention (ECA) in the encoder's blocks")
    eca_decoder: bool = setting(False, "efficient channel attention (ECA) in the decoder's blocks")
    spatial_decoder: bool = setting(False, "spatial attention in the decoder's blocks")
    decoder_spatial_kernel: int = setting(
        7, "pixels along one side of the kernel of spatial_decoder's attention; odd"
    )
    batch_norm: bool = setting(
        False, "features are normalised over each batch after every hidden convolution"
    )
    use_shared_decoder: bool = setting(False, "amplitude and phase share one decoder up to their heads")
    decoder_last_c_outer_fraction: float | None = setting(
        None, "share of the decoder's last features that makes the outer ring; none: 4 features"
    )
    decoder_last_amp_channels: int | None = setting(
        None, "amplitude maps of a group: 1 for all its patterns, or gridsize**2; none: as many as phase maps"
    )


@dataclass
class TrainingConfig:
    """A training (specification, section 5.2)."""

    model: ModelConfig
    train_data_file: Path | None = setting(None, "NPZ with the scan to learn from")
    test_data_file: Path | None = setting(None, "NPZ with a scan to validate on; none: none")
    batch_size: int = setting(16, "groups in one optimiser step")
    nepochs: int = setting(50, "passes over the groups")
    mae_weight: float = setting(0.0, "weight of the mean absolute error of the diffraction amplitudes")
    nll_weight: float = setting(1.0, "weight of the Poisson negative log-likelihood of the counts")
    realspace_mae_weight: float = setting(
        0.0, "weight of the error of the object against that of the file, within the real-space loss"
    )
    realspace_weight: float = setting(
        0.0, "weight of the real-space loss: total variation, and the error above"
    )
    nphotons: float = setting(1e9, "photons in one pattern, where the data do not tell")
    n_groups: int | None = setting(
        None, f"groups that are drawn; none: {DEFAULT_N_GROUPS}, with `pinn train` one for each pattern"
    )
    n_images: int | None = setting(None, "deprecated name of n_groups")
    n_subsample: int | None = setting(None, "patterns that are kept before groups are made; none: all")
    subsample_seed: int | None = setting(None, "seed of that choice; none: the seed of the run")
    neighbor_count: int = setting(4, "members of a group are within so many nearest neighbours of its first")
    neighbor_function: Literal["Nearest", "Min_dist", "4_quadrant"] = setting(
        "Nearest", "which neighbours: the nearest, those within distances, or of all four quadrants"
    )
    min_neighbor_distance: float = setting(
        0.0, "smallest distance of those from the first of a group, in pixels or steps (scan_pattern)"
    )
    max_neighbor_distance: float | None = setting(
        None, "largest distance of those, in the same unit; none: no limit"
    )
    scan_pattern: Literal["Isotropic", "Rectangular"] = setting(
        "Isotropic", "distances are pixels, or scan steps of each axis"
    )
    positions_provided: bool = setting(True, "legacy flag without effect: a scan always has positions")
    probe_trainable: bool = setting(False, "the probe is optimised too")
    intensity_scale_trainable: bool = setting(True, "the intensity scale is optimised too")
    output_dir: Path = setting(Path("training_outputs"), "folder for the archive, logs and checkpoints")
    sequential_sampling: bool = setting(
        False, "groups start at the first patterns in order, not at random ones"
    )
    backend: Framework = setting("tensorflow", "the framework that trains")
    predicted_neighbors: int = setting(
        3, "patterns near each group that the network does not see and must predict: the overlap constraint"
    )
    amp_loss: Literal["Total_Variation", "Mean_Deviation"] | None = setting(
        None, "regulariser of the object's amplitude: its difference between neighbours, or from its mean"
    )
    phase_loss: Literal["Total_Variation", "Mean_Deviation"] | None = setting(
        None, "the same of the object's phase"
    )
    amp_loss_coeff: float = setting(1.0, "weight of amp_loss")
    phase_loss_coeff: float = setting(1.0, "weight of phase_loss")
    phase_subtraction: bool = setting(
        True, "known objects lose their mean phase, which patterns do not tell, before they are learned"
    )
    refine: str | None = setting(
        None,
        "what the solver finds in the scan before it is learned, and in an image made right afterwards: "
        f"{_REFINED}",
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
    model_path: Path = setting(Path(), "folder that holds wts.h5.zip, or that file")
    test_data_file: Path | None = setting(None, "NPZ with the scan to reconstruct")
    n_groups: int | None = setting(None, "groups that are reconstructed; none: all")
    n_images: int | None = setting(None, "deprecated name of n_groups")
    n_subsample: int | None = setting(None, "patterns that are kept before groups are made; none: all")
    subsample_seed: int | None = setting(None, "seed of that choice; none: the seed of the run")
    neighbor_count: int = setting(4, "members of a group are within so many nearest neighbours of its first")
    neighbor_function: Literal["Nearest", "Min_dist", "4_quadrant"] = setting(
        "Nearest", "which neighbours: the nearest, those within distances, or of all four quadrants"
    )
    min_neighbor_distance: float = setting(
        0.0, "smallest distance of those from the first of a group, in pixels or steps (scan_pattern)"
    )
    max_neighbor_distance: float | None = setting(
        None, "largest distance of those, in the same unit; none: no limit"
    )
    scan_pattern: Literal["Isotropic", "Rectangular"] = setting(
        "Isotropic", "distances are pixels, or scan steps of each axis"
    )
    debug: bool = setting(False, "log in detail")
    output_dir: Path = setting(Path("inference_outputs"), "folder for the reconstruction and its pictures")
    backend: Framework = setting("tensorflow", "the framework that reconstructs")
    patch_weighting: Literal["probe", "uniform"] = setting(
        "probe", "where patches overlap, their pixels count by the probe's intensity, or all alike"
    )
    border_px: int = setting(0, "pixels that are cut off all around the image")
    refine: str | None = setting(
        None, f"what the solver may find besides the object, starting from the network's image: {_REFINED}"
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

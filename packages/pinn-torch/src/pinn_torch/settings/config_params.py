"""The five configurations that programs for the PyTorch backend build, with their historical names and
defaults.

They are mutable dataclasses without any check: ptychodus fills them in, pickles them into a child process
and assigns `n_devices` there. `pinn_torch.settings.config_support` says of every field what it becomes, or
why it is refused; `pinn_torch.settings.config_bridge` turns them into the canonical configs of `pinn_config`.
Importing this loads no framework.
"""

# ruff: noqa: RUF009 - `setting` returns a dataclasses.field, which is made for each class anew

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pinn_config.configs import setting

__all__ = ["DataConfig", "DatagenConfig", "InferenceConfig", "ModelConfig", "TrainingConfig"]


def _list(help: str) -> Any:
    """A field that begins as an empty list of its own."""
    return field(default_factory=list, metadata={"help": help})


@dataclass
class DataConfig:
    """What was measured and how patterns make groups."""

    nphotons: float = setting(1e5, "photons in one pattern, where the data do not tell")
    N: int = setting(64, "pixels along one side of a diffraction pattern; even")
    C: int = setting(4, "patterns in a group: grid_size[0] * grid_size[1]")
    K: int = setting(6, "members of a group are within so many nearest neighbours of its first")
    K_quadrant: int = setting(30, "K, where neighbor_function is 4_quadrant")
    n_subsample: int = setting(7, "groups that begin at each scan point")
    subsample_seed: int | None = setting(None, "seed of the choice of patterns; none: the seed of the run")
    grid_size: tuple[int, int] = setting((2, 2), "patterns in a group, down and across; both the same")
    neighbor_function: Literal["Nearest", "Min_dist", "4_quadrant"] = setting(
        "Nearest", "which neighbours may be members of a group"
    )
    min_neighbor_distance: float = setting(0.0, "least distance of a neighbour, in object pixels")
    max_neighbor_distance: float | None = setting(3.0, "largest distance of a neighbour, in object pixels")
    scan_pattern: Literal["Isotropic", "Rectangular"] = setting("Isotropic", "how the scan was driven")
    normalize: Literal["Batch", "Group"] | None = setting(
        "Batch", "one factor scales the patterns of the whole scan, or of each group"
    )
    probe_scale: float = setting(4.0, "the mean amplitude of the probe is normalised to 1 / probe_scale")
    probe_normalize: bool = setting(True, "the probe is normalised before it is used")
    probe_ramp_removal: bool = setting(False, "the linear phase of the probe is taken off")
    data_scaling: Literal["Parseval", "Max"] = setting(
        "Parseval", "patterns are scaled by their mean energy, or by their maximum"
    )
    phase_subtraction: bool = setting(True, "labels of a supervised training lose their mean phase")
    x_bounds: tuple[float, float] = setting((0.1, 0.9), "share of the scan's width that is used")
    y_bounds: tuple[float, float] = setting((0.1, 0.9), "share of the scan's height that is used")


@dataclass
class ModelConfig:
    """The network and the physics in it."""

    mode: Literal["Unsupervised", "Supervised"] = setting(
        "Unsupervised", "learn from the physics, or from known objects"
    )
    architecture: str = setting("refined", "which network; see pinn_config.architecture")
    cnn_output_mode: Literal["amp_phase", "real_imag"] = setting("amp_phase", "what the network gives")
    use_shared_decoder: bool = setting(False, "amplitude and phase share the decoder but for its end")
    intensity_scale_trainable: bool = setting(False, "the intensity scale is optimised too")
    intensity_scale: float = setting(10000.0, "the intensity scale itself")
    max_position_jitter: int = setting(10, "room around the canvas of a group for jitter, in pixels")
    num_datasets: int = setting(1, "scans that are learned at once")
    C_model: int = setting(4, "channels of the network: patterns in a group")
    C_forward: int = setting(4, "channels of the physics: patterns in a group")
    n_filters_scale: int = setting(2, "multiplies the number of filters of every layer")
    amp_activation: str = setting("silu", "activation of the amplitude")
    batch_norm: bool = setting(False, "batch normalisation after convolutions")
    # None and an array of pixels are what clients give here besides.
    probe_mask: Any = setting(False, "a circular mask confines the probe")
    probe_mask_sigma: float = setting(1.0, "width of the edge of that mask, in pixels")
    probe_mask_diameter: float | None = setting(None, "diameter of that mask, in pixels; none: N / 2")
    edge_pad: int = setting(10, "room around the canvas of a group, in pixels")
    decoder_last_c_outer_fraction: float = setting(
        0.125, "share of the decoder's features that makes the outer ring of a patch"
    )
    decoder_last_amp_channels: int = setting(1, "channels of the amplitude: 1, or patterns in a group")
    eca_encoder: bool = setting(False, "efficient channel attention in the encoder")
    cbam_encoder: bool = setting(True, "channel and spatial attention in the encoder")
    cbam_bottleneck: bool = setting(False, "channel and spatial attention between encoder and decoder")
    cbam_decoder: bool = setting(False, "channel and spatial attention in the decoders")
    eca_decoder: bool = setting(False, "efficient channel attention in the decoders")
    spatial_decoder: bool = setting(False, "spatial attention in the decoders")
    decoder_spatial_kernel: int = setting(7, "side of the kernel of that attention; odd")
    object_big: bool = setting(True, "the patches of a group are merged into one canvas before they diffract")
    probe_big: bool = setting(True, "the outer ring of a patch is reconstructed too, at low resolution")
    pad_object: bool = setting(True, "the decoder fills the centre of a patch and the rest is padded")
    gaussian_smoothing_sigma: float = setting(
        0.0, "width of the smoothing of the illuminated object, in pixels"
    )
    offset: int = setting(6, "distance of neighbouring patches in a canvas, in pixels")
    training_patch_weighting: Literal["central_mask", "probe", "uniform"] = setting(
        "central_mask", "how the patches of a group are weighted in their canvas"
    )
    loss_function: Literal["Poisson", "MAE"] = setting("Poisson", "what is minimised")
    amp_loss: Literal["Total_Variation", "Mean_Deviation"] | None = setting(
        None, "penalty on the amplitude besides"
    )
    phase_loss: Literal["Total_Variation", "Mean_Deviation"] | None = setting(
        None, "penalty on the phase besides"
    )
    amp_loss_coeff: float = setting(1.0, "weight of the penalty on the amplitude")
    phase_loss_coeff: float = setting(1.0, "weight of the penalty on the phase")
    probe_reference_coeff: float = setting(0.0, "weight of the probe's distance from its first guess")
    amplitude_variance_loss: bool = setting(False, "the variance of the amplitude is penalised")
    amplitude_variance_coeff: float = setting(0.01, "weight of that penalty")


@dataclass
class TrainingConfig:
    """A training, and how it is executed."""

    training_directories: list[str] = _list("folders with scans to learn from")
    train_data_file: Path | None = setting(None, "NPZ with the scan to learn from")
    test_data_file: Path | None = setting(None, "NPZ with a scan to validate on; none: none")
    n_groups: int | None = setting(None, "groups that are drawn")
    output_dir: Path | str = setting("training_outputs", "folder for the archive, logs and checkpoints")
    nll: bool = setting(True, "the Poisson negative log-likelihood is minimised")
    torch_loss_mode: Literal["poisson", "mae"] = setting("poisson", "second name of loss_function")
    torch_mae_pred_l2_match_target: bool = setting(False, "predictions get the norm of the measurement first")
    device: str = setting("cuda", "kind of device; cuda: a GPU where there is one")
    n_devices: int = setting(1, "number of devices")
    strategy: str = setting("ddp", "how Lightning spreads a run over devices")
    framework: str = setting("Lightning", "what drives the training")
    orchestrator: str = setting("Mlflow", "who records the metrics")
    experiment_name: str = setting("Synthetic_Runs", "name of the records of a run")
    model_name: str = setting("PtychoPINNv2", "name of the network, for the records")
    notes: str = setting("", "anything worth knowing later, for the records")
    learning_rate: float = setting(1e-3, "step of the optimiser")
    epochs: int = setting(50, "passes over the groups")
    batch_size: int = setting(16, "groups in one optimiser step")
    accum_steps: int = setting(1, "batches whose gradients are added before one optimiser step")
    num_workers: int = setting(4, "processes that load data; 0: the main process")
    gradient_clip_val: float | None = setting(None, "gradients are clipped to this; none: not at all")
    gradient_clip_algorithm: Literal["norm", "value", "agc"] = setting(
        "norm", "clip the norm of all, or each value"
    )
    optimizer: Literal["adam", "adamw", "sgd"] = setting("adam", "the optimiser")
    momentum: float = setting(0.9, "momentum of sgd")
    weight_decay: float = setting(0.0, "decay of the weights")
    adam_beta1: float = setting(0.9, "memory of Adam's mean")
    adam_beta2: float = setting(0.999, "memory of Adam's variance")
    scheduler: str = setting("Default", "how the learning rate changes; Default: not")
    warmup_epochs: int = setting(0, "epochs in which the learning rate rises from near zero")
    min_lr_ratio: float = setting(0.1, "share of the learning rate at which a cosine ends")
    lr_warmup_epochs: int = setting(0, "second name of warmup_epochs")
    lr_min_ratio: float = setting(0.1, "second name of min_lr_ratio")
    plateau_factor: float = setting(0.5, "factor on the learning rate where the loss stands still")
    plateau_patience: int = setting(2, "epochs that it may stand still")
    plateau_min_lr: float = setting(5e-5, "learning rate below which it is not lowered")
    plateau_threshold: float = setting(0.0, "smaller changes of the loss count as none")
    epochs_fine_tune: int = setting(0, "epochs that are added at the lowered learning rate")
    fine_tune_gamma: float = setting(0.1, "factor on the learning rate in those")
    enable_staged_finetuning: bool = setting(False, "parts of the network are trained one after the other")
    finetune_stage1_epochs: int = setting(7, "epochs of the decoders alone")
    finetune_stage2_epochs: int = setting(7, "epochs of the decoders and the top of the encoder")
    finetune_stage3_epochs: int = setting(5, "epochs of the whole network")
    finetune_stage1_lr_decoder: float = setting(0.1, "factor on the learning rate there")
    finetune_stage2_lr_encoder_top: float = setting(0.01, "factor on the learning rate there")
    finetune_stage2_lr_decoder: float = setting(0.05, "factor on the learning rate there")
    finetune_stage2_lr_phase_head: float = setting(0.1, "factor on the learning rate there")
    finetune_stage3_lr_encoder_bottom: float = setting(0.005, "factor on the learning rate there")
    finetune_stage3_lr_encoder_top: float = setting(0.01, "factor on the learning rate there")
    finetune_stage3_lr_decoder: float = setting(0.02, "factor on the learning rate there")
    finetune_stage3_lr_phase_head: float = setting(0.05, "factor on the learning rate there")
    finetune_skip_stage3: bool = setting(True, "the third stage is left out")
    finetune_early_stop_patience: int = setting(3, "epochs without improvement after which a stage ends")
    finetune_val_split: float = setting(0.05, "share of the groups that is looked at only")
    log_grad_norm: bool = setting(False, "the norms of the gradients are recorded")
    grad_norm_log_freq: int = setting(1, "steps between two of those records")


@dataclass
class InferenceConfig:
    """A reconstruction."""

    middle_trim: int = setting(32, "pixels along one side of a patch's centre that are used; 0: all")
    batch_size: int = setting(1000, "groups in one batch")
    experiment_number: int = setting(0, "which of several scans is reconstructed")
    pad_eval: bool = setting(True, "the central N/2 x N/2 pixels of a patch count, the rest is padding")
    window: int = setting(20, "pixels that are cut off all around the image")
    patch_weighting: Literal["probe", "uniform"] = setting(
        "probe", "how the pixels of a patch are weighted in the image"
    )
    log_patch_stats: bool = setting(False, "statistics of the patches are recorded")
    patch_stats_limit: int | None = setting(None, "patches of which they are recorded; none: all")


@dataclass
class DatagenConfig:
    """Simulated training data: not made here, see `pinn simulate`."""

    objects_per_probe: int = setting(4, "objects for each probe")
    diff_per_object: int = setting(7000, "patterns of each object")
    object_class: str = setting("dead_leaves", "kind of object")
    image_size: tuple[int, int] = setting((250, 250), "pixels of an object, rows and columns")
    probe_paths: list[str] = _list("files with probes")
    beamstop_diameter: int = setting(4, "pixels in the centre of a pattern that are dark")

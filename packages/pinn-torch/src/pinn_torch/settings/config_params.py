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

    nphotons: float = setting(1e5, "mean photons per pattern, used if the data do not state them")
    N: int = setting(64, "side of a diffraction pattern, even [pixels]")
    C: int = setting(4, "patterns per group: grid_size[0] * grid_size[1]")
    K: int = setting(6, "group members are drawn from the anchor's K nearest neighbours")
    K_quadrant: int = setting(30, "K for neighbor_function 4_quadrant")
    n_subsample: int = setting(7, "groups drawn per anchor")
    subsample_seed: int | None = setting(
        None, "random seed for the choice of patterns", unset="seed of the run"
    )
    grid_size: tuple[int, int] = setting((2, 2), "group size (rows, columns), both equal")
    neighbor_function: Literal["Nearest", "Min_dist", "4_quadrant"] = setting(
        "Nearest", "neighbour selection: nearest, within the distance limits, or from all four quadrants"
    )
    min_neighbor_distance: float = setting(
        0.0, "minimum distance of a neighbour from the anchor [object pixels]"
    )
    max_neighbor_distance: float | None = setting(
        3.0, "maximum distance of a neighbour from the anchor [object pixels]"
    )
    scan_pattern: Literal["Isotropic", "Rectangular"] = setting(
        "Isotropic",
        "unit of neighbour distances: pixels (Isotropic) or scan steps along each axis (Rectangular)",
    )
    normalize: Literal["Batch", "Group"] | None = setting(
        "Batch", "scaling of the patterns: one factor for the whole scan (Batch) or per group (Group)"
    )
    probe_scale: float = setting(4.0, "probe normalisation: the mean probe amplitude becomes 1 / probe_scale")
    probe_normalize: bool = setting(True, "normalise the probe")
    probe_ramp_removal: bool = setting(False, "remove the linear phase of the probe")
    data_scaling: Literal["Parseval", "Max"] = setting(
        "Parseval", "scaling of the patterns: by their mean energy (Parseval) or by their maximum (Max)"
    )
    phase_subtraction: bool = setting(True, "subtract the mean phase of the objects in supervised training")
    x_bounds: tuple[float, float] = setting((0.1, 0.9), "fraction of the scan width to use (from, to)")
    y_bounds: tuple[float, float] = setting((0.1, 0.9), "fraction of the scan height to use (from, to)")


@dataclass
class ModelConfig:
    """The network and the physics in it."""

    mode: Literal["Unsupervised", "Supervised"] = setting(
        "Unsupervised", "training target: the diffraction data (Unsupervised) or known objects (Supervised)"
    )
    architecture: str = setting("refined", "network architecture")
    cnn_output_mode: Literal["amp_phase", "real_imag"] = setting(
        "amp_phase", "network output: amplitude and phase, or real and imaginary part"
    )
    use_shared_decoder: bool = setting(
        False, "one decoder for amplitude and phase, with separate output heads"
    )
    intensity_scale_trainable: bool = setting(False, "also optimise the intensity scale")
    intensity_scale: float = setting(10000.0, "initial intensity scale")
    max_position_jitter: int = setting(10, "margin of the group canvas for position jitter [pixels]")
    num_datasets: int = setting(1, "number of training scans")
    C_model: int = setting(4, "channels of the network (patterns per group)")
    C_forward: int = setting(4, "channels of the forward model (patterns per group)")
    n_filters_scale: int = setting(2, "factor on the number of filters in every layer")
    amp_activation: str = setting("silu", "activation function of the amplitude output")
    batch_norm: bool = setting(False, "batch normalisation after convolutions")
    # None and an array of pixels are what clients give here besides.
    probe_mask: Any = setting(False, "confine the probe with a circular mask")
    probe_mask_sigma: float = setting(1.0, "edge width of the probe mask [pixels]")
    probe_mask_diameter: float | None = setting(None, "diameter of the probe mask [pixels]", unset="N / 2")
    edge_pad: int = setting(10, "margin of the group canvas [pixels]")
    decoder_last_c_outer_fraction: float = setting(
        0.125, "fraction of the last decoder features used for the outer ring"
    )
    decoder_last_amp_channels: int = setting(1, "amplitude maps per group: 1, or one per pattern")
    eca_encoder: bool = setting(False, "efficient channel attention in the encoder blocks")
    cbam_encoder: bool = setting(True, "channel and spatial attention in the encoder blocks")
    cbam_bottleneck: bool = setting(False, "channel and spatial attention at the lowest resolution")
    cbam_decoder: bool = setting(False, "channel and spatial attention in the decoder blocks")
    eca_decoder: bool = setting(False, "efficient channel attention in the decoder blocks")
    spatial_decoder: bool = setting(False, "spatial attention in the decoder blocks")
    decoder_spatial_kernel: int = setting(7, "kernel side of the spatial attention, odd [pixels]")
    object_big: bool = setting(
        True, "merge the patches of a group into one canvas before computing the diffraction"
    )
    probe_big: bool = setting(True, "also reconstruct the outer ring of each patch, at low resolution")
    pad_object: bool = setting(True, "decode only the centre of each patch and pad the rest")
    gaussian_smoothing_sigma: float = setting(
        0.0, "sigma of the Gaussian smoothing of the illuminated object; 0 for none [pixels]"
    )
    offset: int = setting(6, "distance between neighbouring patches in a canvas [pixels]")
    training_patch_weighting: Literal["central_mask", "probe", "uniform"] = setting(
        "central_mask", "weight of pixels where the patches of a group overlap"
    )
    loss_function: Literal["Poisson", "MAE"] = setting("Poisson", "loss function")
    amp_loss: Literal["Total_Variation", "Mean_Deviation"] | None = setting(
        None, "regulariser of the object amplitude", unset="no regulariser"
    )
    phase_loss: Literal["Total_Variation", "Mean_Deviation"] | None = setting(
        None, "regulariser of the object phase", unset="no regulariser"
    )
    amp_loss_coeff: float = setting(1.0, "weight of amp_loss")
    phase_loss_coeff: float = setting(1.0, "weight of phase_loss")
    probe_reference_coeff: float = setting(
        0.0, "weight of the penalty on the distance of the probe from its initial guess"
    )
    amplitude_variance_loss: bool = setting(False, "penalise the variance of the amplitude")
    amplitude_variance_coeff: float = setting(0.01, "weight of amplitude_variance_loss")


@dataclass
class TrainingConfig:
    """A training, and how it is executed."""

    training_directories: list[str] = _list("folders with training scans")
    train_data_file: Path | None = setting(None, "NPZ file with the training scan")
    test_data_file: Path | None = setting(None, "NPZ file with the validation scan", unset="no validation")
    n_groups: int | None = setting(None, "number of groups to draw")
    output_dir: Path | str = setting("training_outputs", "output folder (archive, logs, checkpoints)")
    nll: bool = setting(True, "minimise the Poisson negative log-likelihood")
    torch_loss_mode: Literal["poisson", "mae"] = setting("poisson", "same as loss_function")
    torch_mae_pred_l2_match_target: bool = setting(
        False, "scale predictions to the norm of the measurement before the loss"
    )
    device: str = setting("cuda", "device type; cuda: a GPU if there is one")
    n_devices: int = setting(1, "number of devices")
    strategy: str = setting("ddp", "strategy of Lightning for several devices")
    framework: str = setting("Lightning", "training framework")
    orchestrator: str = setting("Mlflow", "metrics logger")
    experiment_name: str = setting("Synthetic_Runs", "experiment name in the logger")
    model_name: str = setting("PtychoPINNv2", "model name in the logger")
    notes: str = setting("", "free text for the logger")
    learning_rate: float = setting(1e-3, "learning rate")
    epochs: int = setting(50, "number of epochs (passes over all groups)")
    batch_size: int = setting(16, "groups per optimiser step")
    accum_steps: int = setting(1, "number of batches over which gradients are accumulated")
    num_workers: int = setting(4, "number of data-loading processes; 0 loads in the main process")
    gradient_clip_val: float | None = setting(None, "threshold of gradient clipping", unset="no clipping")
    gradient_clip_algorithm: Literal["norm", "value", "agc"] = setting(
        "norm", "gradient clipping by the total norm, or of each value"
    )
    optimizer: Literal["adam", "adamw", "sgd"] = setting("adam", "optimiser")
    momentum: float = setting(0.9, "momentum of sgd")
    weight_decay: float = setting(0.0, "weight decay")
    adam_beta1: float = setting(0.9, "beta1 of Adam")
    adam_beta2: float = setting(0.999, "beta2 of Adam")
    scheduler: str = setting("Default", "learning-rate schedule; Default keeps it constant")
    warmup_epochs: int = setting(0, "epochs of learning-rate warm-up")
    min_lr_ratio: float = setting(0.1, "final fraction of the learning rate in a cosine schedule")
    lr_warmup_epochs: int = setting(0, "same as warmup_epochs")
    lr_min_ratio: float = setting(0.1, "same as min_lr_ratio")
    plateau_factor: float = setting(0.5, "factor on the learning rate at a plateau of the loss")
    plateau_patience: int = setting(2, "epochs without improvement that count as a plateau")
    plateau_min_lr: float = setting(5e-5, "minimum learning rate of the plateau schedule")
    plateau_threshold: float = setting(0.0, "minimum change of the loss that counts as an improvement")
    epochs_fine_tune: int = setting(0, "extra epochs of fine-tuning at a lower learning rate")
    fine_tune_gamma: float = setting(0.1, "factor on the learning rate for fine-tuning")
    enable_staged_finetuning: bool = setting(False, "fine-tune parts of the network one after the other")
    finetune_stage1_epochs: int = setting(7, "epochs of stage 1 (decoders only)")
    finetune_stage2_epochs: int = setting(7, "epochs of stage 2 (decoders and top of the encoder)")
    finetune_stage3_epochs: int = setting(5, "epochs of stage 3 (whole network)")
    finetune_stage1_lr_decoder: float = setting(0.1, "factor on the learning rate of the decoders in stage 1")
    finetune_stage2_lr_encoder_top: float = setting(
        0.01, "factor on the learning rate of the top of the encoder in stage 2"
    )
    finetune_stage2_lr_decoder: float = setting(
        0.05, "factor on the learning rate of the decoders in stage 2"
    )
    finetune_stage2_lr_phase_head: float = setting(
        0.1, "factor on the learning rate of the phase head in stage 2"
    )
    finetune_stage3_lr_encoder_bottom: float = setting(
        0.005, "factor on the learning rate of the bottom of the encoder in stage 3"
    )
    finetune_stage3_lr_encoder_top: float = setting(
        0.01, "factor on the learning rate of the top of the encoder in stage 3"
    )
    finetune_stage3_lr_decoder: float = setting(
        0.02, "factor on the learning rate of the decoders in stage 3"
    )
    finetune_stage3_lr_phase_head: float = setting(
        0.05, "factor on the learning rate of the phase head in stage 3"
    )
    finetune_skip_stage3: bool = setting(True, "skip stage 3")
    finetune_early_stop_patience: int = setting(3, "epochs without improvement before a stage ends")
    finetune_val_split: float = setting(0.05, "fraction of the groups used for validation")
    log_grad_norm: bool = setting(False, "log gradient norms")
    grad_norm_log_freq: int = setting(1, "steps between logged gradient norms")


@dataclass
class InferenceConfig:
    """A reconstruction."""

    middle_trim: int = setting(
        32, "side of the central part of each patch that enters the image; 0 for the whole patch [pixels]"
    )
    batch_size: int = setting(1000, "groups per batch")
    experiment_number: int = setting(0, "index of the scan to reconstruct")
    pad_eval: bool = setting(True, "use only the central N/2 x N/2 pixels of each patch in the image")
    window: int = setting(20, "width of the border to crop from the image [pixels]")
    patch_weighting: Literal["probe", "uniform"] = setting(
        "probe", "weight of pixels where patches overlap: probe intensity, or uniform"
    )
    log_patch_stats: bool = setting(False, "log statistics of the patches")
    patch_stats_limit: int | None = setting(None, "number of patches in those statistics", unset="all")


@dataclass
class DatagenConfig:
    """Simulated training data: not made here, see `pinn simulate`."""

    objects_per_probe: int = setting(4, "objects per probe")
    diff_per_object: int = setting(7000, "patterns per object")
    object_class: str = setting("dead_leaves", "object type")
    image_size: tuple[int, int] = setting((250, 250), "object size (rows, columns) [pixels]")
    probe_paths: list[str] = _list("files with probes")
    beamstop_diameter: int = setting(4, "diameter of the beam stop [pixels]")

"""What becomes of every field of the configurations in `pinn_torch.settings.config_params`: one table.

A field is either *honoured*, and then the table names the canonical setting that it becomes, or *refused* as
soon as it is not at its default, with one sentence that says why and what to do. Law, tested: every field of
the five classes is in the table once; nothing is accepted and then ignored.

`pinn_torch.settings.config_bridge` does the translation. Importing this loads no framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any

from pinn_config.errors import ConfigError
from pinn_config.validation import shown

from pinn_torch.settings.config_params import (
    DataConfig,
    DatagenConfig,
    InferenceConfig,
    ModelConfig,
    TrainingConfig,
)

__all__ = ["API", "OPTIONS", "Honoured", "Refused", "default_of", "problems_of", "refuse_unhonoured"]

API = "api"
"""Target of a field that no canonical config holds: `pinn_torch.api` applies it to the data or the run."""


@dataclass(frozen=True)
class Honoured:
    """A field that takes effect.

    becomes : the canonical settings, as ``section.field``: model, training or inference (the configs of
        `pinn_config`), both (training and inference), execution (`PyTorchExecutionConfig`); or `API`
    how : in words, where it is more than a copy under that name
    """

    becomes: tuple[str, ...]
    how: str = ""

    @property
    def copied(self) -> bool:
        """Whether the value itself is that of the one setting that it becomes."""
        return not self.how and self.becomes != (API,)


@dataclass(frozen=True)
class Refused:
    """A field that must stay at its default.

    because : why, and what to do; the end of a sentence that begins with the field and its value
    """

    because: str


def _to(*becomes: str, how: str = "") -> Honoured:
    return Honoured(becomes, how)


_CANVAS = "the canvas of a group follows the scan positions, so its margin cannot be set"
_CHANNELS = "must be grid_size[0] * grid_size[1], or at its default, which follows the grid"
_LIMIT = "where neighbor_function is Nearest, which has no limits, it must be at its default"
_STAGED = "training in stages is not supported: train all of it with epochs and scheduler"
_SIMULATED = (
    "training data are not simulated by this backend: make them with `pinn simulate` and train on the file"
)
_PLATEAU = "scheduler='Adaptive' lowers the learning rate by its own rules: leave it at its default"

OPTIONS: Mapping[type, Mapping[str, Honoured | Refused]] = {
    DataConfig: {
        "nphotons": _to("training.nphotons"),
        "N": _to("model.N"),
        "C": _to("model.gridsize", how=_CHANNELS),
        "K": _to("both.neighbor_count", how="unless neighbor_function is 4_quadrant"),
        "K_quadrant": _to("both.neighbor_count", how="where neighbor_function is 4_quadrant"),
        "n_subsample": _to(API, how="groups for each scan point, where a group has more than one"),
        "subsample_seed": _to("both.subsample_seed"),
        "grid_size": _to("model.gridsize", how="the side of the square"),
        "neighbor_function": _to("both.neighbor_function"),
        "min_neighbor_distance": _to("both.min_neighbor_distance", how=_LIMIT),
        "max_neighbor_distance": _to("both.max_neighbor_distance", how=_LIMIT),
        "scan_pattern": _to("both.scan_pattern"),
        "normalize": Refused("one factor scales all patterns of a scan: leave it at 'Batch'"),
        "probe_scale": _to("model.probe_scale"),
        "probe_normalize": _to(API, how="False: the probe is used as given"),
        "probe_ramp_removal": _to(API, how="True: the linear phase of the probe is removed"),
        "data_scaling": Refused("patterns are scaled by their mean energy: leave it at 'Parseval'"),
        "phase_subtraction": _to("training.phase_subtraction"),
        "x_bounds": _to(API, how="scan points outside are left out"),
        "y_bounds": _to(API, how="scan points outside are left out"),
    },
    ModelConfig: {
        "mode": _to("model.model_type", how="Unsupervised: pinn, Supervised: supervised"),
        "architecture": _to("model.architecture"),
        "cnn_output_mode": Refused("the network gives amplitude and phase: leave it at 'amp_phase'"),
        "use_shared_decoder": _to("model.use_shared_decoder"),
        "intensity_scale_trainable": _to("training.intensity_scale_trainable"),
        "intensity_scale": Refused("it is measured from the counts of each scan: leave it at 10000.0"),
        "max_position_jitter": Refused(f"{_CANVAS}: leave it at 10"),
        "num_datasets": Refused("one scan is learned at a time: leave it at 1"),
        "C_model": _to("model.gridsize", how=_CHANNELS),
        "C_forward": _to("model.gridsize", how=_CHANNELS),
        "n_filters_scale": _to("model.n_filters_scale"),
        "amp_activation": _to("model.amp_activation", how="silu is swish"),
        "batch_norm": _to("model.batch_norm"),
        "probe_mask": _to("model.probe_mask", how="None is False, an array asks for the circular mask"),
        "probe_mask_sigma": Refused("the edge width of the probe mask is fixed: leave it at 1.0"),
        "probe_mask_diameter": Refused("the mask of the probe has the diameter N / 2: leave it at None"),
        "edge_pad": Refused(f"{_CANVAS}: leave it at 10"),
        "decoder_last_c_outer_fraction": _to("model.decoder_last_c_outer_fraction"),
        "decoder_last_amp_channels": _to("model.decoder_last_amp_channels"),
        "eca_encoder": _to("model.eca_encoder"),
        "cbam_encoder": _to("model.cbam_encoder"),
        "cbam_bottleneck": _to("model.cbam_bottleneck"),
        "cbam_decoder": _to("model.cbam_decoder"),
        "eca_decoder": _to("model.eca_decoder"),
        "spatial_decoder": _to("model.spatial_decoder"),
        "decoder_spatial_kernel": _to("model.decoder_spatial_kernel"),
        "object_big": _to("model.object_big"),
        "probe_big": _to("model.probe_big"),
        "pad_object": _to("model.pad_object"),
        "gaussian_smoothing_sigma": _to("model.gaussian_smoothing_sigma"),
        "offset": Refused(f"{_CANVAS}: leave it at 6"),
        "training_patch_weighting": Refused(
            "the patches of a group are merged by the network's own rule: leave it at 'central_mask'"
        ),
        "loss_function": _to(
            "training.nll_weight", "training.mae_weight", how="Poisson: 1 and 0, MAE: 0 and 1"
        ),
        "amp_loss": _to("training.amp_loss"),
        "phase_loss": _to("training.phase_loss"),
        "amp_loss_coeff": _to("training.amp_loss_coeff"),
        "phase_loss_coeff": _to("training.phase_loss_coeff"),
        "probe_reference_coeff": Refused(
            "this penalty does not exist: leave it at 0.0, or do not train the probe"
        ),
        "amplitude_variance_loss": Refused(
            "this penalty does not exist: leave it at False; amp_loss='Mean_Deviation' is similar"
        ),
        "amplitude_variance_coeff": Refused("this penalty does not exist: leave it at 0.01"),
    },
    TrainingConfig: {
        "training_directories": Refused("one scan is learned at a time: name it in train_data_file"),
        "train_data_file": _to("training.train_data_file"),
        "test_data_file": _to("training.test_data_file"),
        "n_groups": _to("training.n_groups"),
        "output_dir": _to("training.output_dir"),
        "nll": _to(
            "training.nll_weight", "training.mae_weight", how="True: 1 and 0, unless another field says MAE"
        ),
        "torch_loss_mode": _to(
            "training.nll_weight", "training.mae_weight", how="poisson: 1 and 0, mae: 0 and 1"
        ),
        "torch_mae_pred_l2_match_target": Refused("predictions keep their norm: leave it at False"),
        "device": _to("execution.accelerator", how="cuda: a GPU if there is one, else the CPU"),
        "n_devices": _to("execution.devices"),
        "strategy": _to("execution.strategy", how="with one device: auto"),
        "framework": Refused("Lightning drives every training: leave it at 'Lightning'"),
        "orchestrator": _to("execution.logger_backend", how="Mlflow: mlflow, Lightning: csv"),
        "experiment_name": Refused("it is not recorded: leave it at its default and use notes"),
        "model_name": _to(API, how="recorded in the archive"),
        "notes": _to(API, how="recorded in the archive"),
        "learning_rate": _to("execution.learning_rate"),
        "epochs": _to("training.nepochs"),
        "batch_size": _to("training.batch_size"),
        "accum_steps": _to("execution.accum_steps"),
        "num_workers": _to("execution.num_workers"),
        "gradient_clip_val": _to("execution.gradient_clip_val"),
        "gradient_clip_algorithm": _to("execution.gradient_clip_algorithm"),
        "optimizer": Refused("the only optimiser is Adam: leave it at 'adam'"),
        "momentum": Refused("the optimiser is Adam, which has no momentum: leave it at 0.9"),
        "weight_decay": Refused("weight decay is not supported: leave it at 0.0"),
        "adam_beta1": Refused("the betas of Adam are fixed: leave it at 0.9"),
        "adam_beta2": Refused("the betas of Adam are fixed: leave it at 0.999"),
        "scheduler": _to("execution.scheduler", API, how="Cosine is none of those: Default, and a schedule"),
        "warmup_epochs": _to(API, how="epochs of learning-rate warm-up"),
        "min_lr_ratio": _to(API, how="where scheduler='Cosine' ends"),
        "lr_warmup_epochs": Refused("it is another name: use warmup_epochs"),
        "lr_min_ratio": Refused("it is another name: use min_lr_ratio"),
        "plateau_factor": Refused(_PLATEAU),
        "plateau_patience": Refused(_PLATEAU),
        "plateau_min_lr": Refused(_PLATEAU),
        "plateau_threshold": Refused(_PLATEAU),
        "epochs_fine_tune": _to(API, how="extra epochs, at the learning rate times fine_tune_gamma"),
        "fine_tune_gamma": _to(API, how="factor on the learning rate in those epochs"),
        "enable_staged_finetuning": Refused(_STAGED),
        "finetune_stage1_epochs": Refused(_STAGED),
        "finetune_stage2_epochs": Refused(_STAGED),
        "finetune_stage3_epochs": Refused(_STAGED),
        "finetune_stage1_lr_decoder": Refused(_STAGED),
        "finetune_stage2_lr_encoder_top": Refused(_STAGED),
        "finetune_stage2_lr_decoder": Refused(_STAGED),
        "finetune_stage2_lr_phase_head": Refused(_STAGED),
        "finetune_stage3_lr_encoder_bottom": Refused(_STAGED),
        "finetune_stage3_lr_encoder_top": Refused(_STAGED),
        "finetune_stage3_lr_decoder": Refused(_STAGED),
        "finetune_stage3_lr_phase_head": Refused(_STAGED),
        "finetune_skip_stage3": Refused(_STAGED),
        "finetune_early_stop_patience": Refused(_STAGED),
        "finetune_val_split": Refused(_STAGED),
        "log_grad_norm": Refused("gradient norms are not recorded: leave it at False"),
        "grad_norm_log_freq": Refused("gradient norms are not recorded: leave it at 1"),
    },
    InferenceConfig: {
        "middle_trim": _to("execution.middle_trim"),
        "batch_size": _to("execution.inference_batch_size"),
        "experiment_number": Refused("one scan is reconstructed at a time: leave it at 0"),
        "pad_eval": _to("execution.pad_eval"),
        "window": _to("inference.border_px"),
        "patch_weighting": _to("inference.patch_weighting"),
        "log_patch_stats": Refused("statistics of the patches are not recorded: leave it at False"),
        "patch_stats_limit": Refused("statistics of the patches are not recorded: leave it at None"),
    },
    DatagenConfig: {item.name: Refused(_SIMULATED) for item in fields(DatagenConfig)},
}
"""Class to field to what becomes of it."""


def default_of(item: Field[Any]) -> Any:
    """The default of a dataclass field, made anew where it is a list."""
    return item.default if item.default_factory is MISSING else item.default_factory()


def problems_of(*configs: Any) -> list[str]:
    """One sentence for each field of `configs` (of the five classes) that must be at its default and is
    not."""
    return [
        f"{item.name}={shown(getattr(config, item.name))} cannot be honoured: {option.because}"
        for config in configs
        for item in fields(config)
        if isinstance(option := OPTIONS[type(config)][item.name], Refused)
        and getattr(config, item.name) != default_of(item)
    ]


def refuse_unhonoured(*configs: Any) -> None:
    """Returns if every field of `configs` that has no effect is at its default.

    Raises
    ------
    ConfigError (a ValueError)
        With one sentence for each that is not, all at once.
    """
    problems = problems_of(*configs)
    if problems:
        raise ConfigError(*problems)

"""Strategies for the laws of the configurations: valid configs of every kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import strategies as st
from pinn_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig
from pinn_config.architecture import ARCHITECTURES
from pinn_config.refining import PARTS

positive = st.floats(1e-3, 1e12)
weights = st.floats(0, 1)
counts = st.integers(1, 10**6)
optional_counts = st.none() | counts
# Unicode that a file name can hold; lone surrogates cannot be written to a text file.
paths = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(Path)


def _with_amplitude_maps(model: ModelConfig, per_pattern: bool | None) -> ModelConfig:
    maps = {None: None, False: 1, True: model.gridsize**2}[per_pattern]
    return replace(model, decoder_last_amp_channels=maps)


models = st.builds(
    ModelConfig,
    N=st.integers(1, 200).map(lambda half: 2 * half),
    gridsize=st.integers(1, 5),
    n_filters_scale=st.integers(1, 4),
    model_type=st.sampled_from(["pinn", "supervised"]),
    amp_activation=st.sampled_from(["sigmoid", "swish", "softplus", "relu"]),
    object_big=st.booleans(),
    probe_big=st.booleans(),
    probe_mask=st.booleans(),
    pad_object=st.booleans(),
    probe_scale=positive,
    gaussian_smoothing_sigma=st.floats(0, 10),
    architecture=st.sampled_from(ARCHITECTURES),
    cbam_encoder=st.booleans(),
    cbam_bottleneck=st.booleans(),
    cbam_decoder=st.booleans(),
    eca_encoder=st.booleans(),
    eca_decoder=st.booleans(),
    spatial_decoder=st.booleans(),
    decoder_spatial_kernel=st.integers(0, 6).map(lambda half: 2 * half + 1),
    batch_norm=st.booleans(),
    use_shared_decoder=st.booleans(),
    decoder_last_c_outer_fraction=st.none() | st.floats(0, 1, exclude_min=True),
)
models = st.builds(_with_amplitude_maps, models, st.none() | st.booleans())
sampling = {
    "n_groups": optional_counts,
    "n_subsample": optional_counts,
    "subsample_seed": st.none() | st.integers(0, 2**32),
    "neighbor_count": st.integers(0, 50),
    "output_dir": paths,
    "backend": st.sampled_from(["tensorflow", "pytorch"]),
    "scan_pattern": st.sampled_from(["Isotropic", "Rectangular"]),
    "refine": st.sampled_from([None, "auto", "none"])
    | st.lists(st.sampled_from(PARTS), min_size=1).map(",".join),
}
# 'Nearest' has no limits, and the upper one is above the lower one.
neighbours = st.just({}) | st.fixed_dictionaries(
    {
        "neighbor_function": st.sampled_from(["Min_dist", "4_quadrant"]),
        "min_neighbor_distance": st.floats(0, 9),
        "max_neighbor_distance": st.none() | st.floats(10, 1e6),
    }
)


def _with_neighbours(config, rule):
    return replace(config, **rule)


trainings = st.builds(
    TrainingConfig,
    model=models,
    train_data_file=st.none() | paths,
    test_data_file=st.none() | paths,
    batch_size=counts,
    nepochs=counts,
    mae_weight=weights,
    nll_weight=st.floats(0.1, 1),
    realspace_mae_weight=weights,
    realspace_weight=st.floats(0.1, 1),
    nphotons=positive,
    positions_provided=st.booleans(),
    probe_trainable=st.booleans(),
    intensity_scale_trainable=st.booleans(),
    sequential_sampling=st.booleans(),
    predicted_neighbors=st.integers(0, 20),
    validation_groups=st.integers(1, 500),
    amp_loss=st.sampled_from([None, "Total_Variation", "Mean_Deviation"]),
    phase_loss=st.sampled_from([None, "Total_Variation", "Mean_Deviation"]),
    amp_loss_coeff=weights,
    phase_loss_coeff=weights,
    phase_subtraction=st.booleans(),
    **sampling,
)
trainings = st.builds(_with_neighbours, trainings, neighbours)
inferences = st.builds(
    InferenceConfig,
    model=models,
    model_path=paths,
    test_data_file=st.none() | paths,
    debug=st.booleans(),
    patch_weighting=st.sampled_from(["probe", "uniform"]),
    border_px=st.integers(0, 100),
    **sampling,
)
inferences = st.builds(_with_neighbours, inferences, neighbours)
configs = trainings | inferences
executions = st.builds(
    PyTorchExecutionConfig,
    accelerator=st.sampled_from(["auto", "cpu", "gpu", "cuda", "tpu", "mps"]),
    devices=st.just("auto") | st.integers(1, 8),
    strategy=st.text(max_size=8).filter(lambda text: text.isprintable()),
    deterministic=st.booleans() | st.just("warn"),
    compile=st.booleans(),
    precision=st.sampled_from(["32-true", "bf16-mixed", "16-mixed", "auto"]),
    gradient_clip_val=st.none() | positive,
    num_workers=st.integers(1, 8),
    persistent_workers=st.booleans(),
    prefetch_factor=st.none() | counts,
    learning_rate=positive,
    scheduler=st.sampled_from(["Default", "Exponential", "MultiStage", "Adaptive"]),
    warmup_steps=st.integers(0, 100),
    checkpoint_save_top_k=st.integers(-1, 5),
    logger_backend=st.sampled_from(["mlflow", "csv", "tensorboard", "none", None]),
    inference_batch_size=optional_counts,
)

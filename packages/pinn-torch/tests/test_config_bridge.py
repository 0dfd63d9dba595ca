"""From the configurations of the PyTorch backend to the canonical ones: as if those were built directly."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from params_cases import complete
from pinn_config import configs as canonical
from pinn_config.bridge import dataclass_to_legacy_dict, update_legacy_dict
from pinn_config.errors import ConfigError
from pinn_config.validation import field_types, problems_of
from pinn_torch.settings.config_bridge import (
    to_execution_config,
    to_inference_config,
    to_model_config,
    to_training_config,
)
from pinn_torch.settings.config_params import DataConfig, InferenceConfig, ModelConfig, TrainingConfig

_ACTIVATIONS = {
    "silu": "swish",
    "SiLU": "swish",
    "swish": "swish",
    "sigmoid": "sigmoid",
    "softplus": "softplus",
    "relu": "relu",
}
_FILES = {"model_path": Path("run"), "test_data_file": Path("unseen.npz")}
_POSITIVE = st.floats(0.01, 1e6)
_LIMITS = st.tuples(st.floats(0, 5), st.none() | st.floats(6, 50))


@st.composite
def _pairs(draw):
    """A canonical training, and the PyTorch configurations that say the same."""
    names = ("cbam_encoder", "cbam_bottleneck", "cbam_decoder", "eca_encoder", "eca_decoder")
    names += ("spatial_decoder", "batch_norm", "use_shared_decoder", "object_big", "probe_big", "pad_object")
    switches = {name: draw(st.booleans()) for name in names}
    gridsize = draw(st.integers(1, 4))
    side, kernel = draw(st.sampled_from([64, 128, 256])), draw(st.sampled_from([1, 3, 7]))
    activation, mask = draw(st.sampled_from(sorted(_ACTIVATIONS))), draw(st.booleans())
    scale, sigma, filters = draw(_POSITIVE), draw(st.floats(0, 3)), draw(st.integers(1, 4))
    outer, maps = draw(st.floats(0.01, 1)), draw(st.sampled_from([1, gridsize**2]))
    supervised, absolute = draw(st.booleans()), draw(st.booleans())
    K, seed, scan_pattern = draw(st.integers(0, 40)), draw(st.none() | st.integers(0, 9)), draw(_PATTERNS)
    rule, (low, high) = draw(_RULES), draw(_LIMITS)
    if rule == "Nearest":
        low, high = 0.0, None
    photons = draw(_POSITIVE.filter(lambda x: x != 1e5))
    epochs, batch, groups = (draw(st.integers(1, 500)) for _ in range(3))
    trainable, folder = draw(st.booleans()), Path(draw(st.sampled_from(["a", "b/c"])))
    network = canonical.ModelConfig(
        N=side,
        gridsize=gridsize,
        n_filters_scale=filters,
        model_type="supervised" if supervised else "pinn",
        amp_activation=_ACTIVATIONS[activation],
        probe_mask=mask,
        probe_scale=scale,
        gaussian_smoothing_sigma=sigma,
        decoder_spatial_kernel=kernel,
        decoder_last_c_outer_fraction=outer,
        decoder_last_amp_channels=maps,
        **switches,
    )
    direct = canonical.TrainingConfig(
        network,
        train_data_file=Path("scan.npz"),
        batch_size=batch,
        nepochs=epochs,
        nll_weight=0.0 if absolute else 1.0,
        mae_weight=1.0 if absolute else 0.0,
        nphotons=photons,
        n_groups=groups,
        subsample_seed=seed,
        neighbor_count=K,
        neighbor_function=rule,
        min_neighbor_distance=low,
        max_neighbor_distance=high,
        scan_pattern=scan_pattern,
        intensity_scale_trainable=trainable,
        output_dir=folder,
        backend="pytorch",
    )
    count = {"K_quadrant": K} if rule == "4_quadrant" else {"K": K}
    limits = {} if rule == "Nearest" else {"min_neighbor_distance": low, "max_neighbor_distance": high}
    data = DataConfig(
        N=side,
        C=gridsize**2,
        grid_size=(gridsize, gridsize),
        nphotons=photons,
        probe_scale=scale,
        subsample_seed=seed,
        neighbor_function=rule,
        scan_pattern=scan_pattern,
        **count,
        **limits,
    )
    model = ModelConfig(
        mode="Supervised" if supervised else "Unsupervised",
        amp_activation=activation,
        C_model=gridsize**2,
        C_forward=gridsize**2,
        n_filters_scale=filters,
        probe_mask=mask,
        gaussian_smoothing_sigma=sigma,
        decoder_spatial_kernel=kernel,
        decoder_last_c_outer_fraction=outer,
        decoder_last_amp_channels=maps,
        loss_function="MAE" if absolute else "Poisson",
        intensity_scale_trainable=trainable,
        **switches,
    )
    training = TrainingConfig(
        epochs=epochs,
        batch_size=batch,
        n_groups=groups,
        train_data_file=Path("scan.npz"),
        output_dir=str(folder),
    )
    return direct, (data, model, training)


_PATTERNS = st.sampled_from(get_args(field_types(canonical.TrainingConfig)["scan_pattern"]))
_RULES = st.sampled_from(get_args(field_types(canonical.TrainingConfig)["neighbor_function"]))


@settings(deadline=None, max_examples=60)
@given(_pairs())
def test_what_comes_back_equals_the_same_config_built_directly_and_the_legacy_dictionary_takes_it(pair):
    direct, (data, model, training) = pair
    network = to_model_config(data, model)
    assert network == direct.model
    found = to_training_config(network, data, model, training)
    assert found == direct
    cfg: dict = {}
    update_legacy_dict(cfg, found)
    assert cfg == dataclass_to_legacy_dict(direct)
    inference = to_inference_config(network, data, InferenceConfig(), _FILES)
    shared = {item.name for item in fields(canonical.InferenceConfig)} & {
        item.name for item in fields(canonical.TrainingConfig)
    } - {"test_data_file", "output_dir", "n_groups"}
    assert {name: getattr(inference, name) for name in shared} == {
        name: getattr(direct, name) for name in shared
    }
    update_legacy_dict(cfg, inference)
    assert cfg == dataclass_to_legacy_dict(inference)


_OVERRIDES = {
    "batch_size": 3,
    "nepochs": 9,
    "nll_weight": 0.25,
    "mae_weight": 0.75,
    "realspace_weight": 0.5,
    "nphotons": 123.0,
    "n_groups": 4,
    "n_subsample": 8,
    "neighbor_count": 11,
    "probe_trainable": True,
    "output_dir": Path("there"),
    "sequential_sampling": True,
    "predicted_neighbors": 0,
    "validation_groups": 7,
    "train_data_file": Path("another.npz"),
}


@settings(deadline=None, max_examples=40)
@given(st.sets(st.sampled_from(sorted(_OVERRIDES))))
def test_overrides_have_the_last_word_and_touch_nothing_else(names):
    configs = complete()
    data, model, training = (configs[kind] for kind in (DataConfig, ModelConfig, TrainingConfig))
    network = to_model_config(data, model)
    plain = to_training_config(network, data, model, training)
    overrides = {name: _OVERRIDES[name] for name in names}
    found = to_training_config(network, data, model, training, overrides)
    for item in fields(found):
        expected = overrides.get(item.name, getattr(plain, item.name))
        assert getattr(found, item.name) == expected, item.name


def test_overrides_of_the_network_and_of_the_execution():
    configs = complete()
    network = to_model_config(configs[DataConfig], configs[ModelConfig], {"gridsize": 1, "N": 256})
    assert (network.gridsize, network.N) == (1, 256)
    execution = to_execution_config(
        configs[TrainingConfig], configs[InferenceConfig], {"accelerator": "cpu", "precision": "bf16-mixed"}
    )
    assert (execution.accelerator, execution.precision) == ("cpu", "bf16-mixed")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, d, m, t: to_model_config(d, m, {"gridsise": 2}), "'gridsise' .* did you mean 'gridsize'"),
        (
            lambda c, d, m, t: to_training_config(c, d, m, t, {"learning_rate": 1}),
            "'learning_rate' in overrides is not a field of TrainingConfig: choose one of train_data_file",
        ),
        (
            lambda c, d, m, t: to_inference_config(c, d, InferenceConfig(), _FILES | {"model": 1}),
            "'model' in overrides is not a field of InferenceConfig",
        ),
        (
            lambda c, d, m, t: to_execution_config(t, InferenceConfig(), {"devises": 1}),
            "did you mean 'devices'",
        ),
    ],
)
def test_an_override_that_the_config_does_not_have_is_refused(call, message):
    configs = complete()
    data, model, training = (configs[kind] for kind in (DataConfig, ModelConfig, TrainingConfig))
    with pytest.raises(ConfigError, match=message):
        call(to_model_config(data, model), data, model, training)


def test_the_photons_of_neither_are_taken_for_granted():
    configs = complete(nphotons=1e5)
    data, model, training = (configs[kind] for kind in (DataConfig, ModelConfig, TrainingConfig))
    network = to_model_config(data, model)
    with pytest.raises(ConfigError, match=r"^nphotons default divergence detected: .*1e\+09: choose one"):
        to_training_config(network, data, model, training)
    assert to_training_config(network, data, model, training, {"nphotons": 1e5}).nphotons == 1e5


@pytest.mark.parametrize("name", ["train_data_file", "n_groups"])
def test_a_training_must_know_its_data(name):
    configs = complete(**{name: None})
    data, model, training = (configs[kind] for kind in (DataConfig, ModelConfig, TrainingConfig))
    network = to_model_config(data, model)
    with pytest.raises(ValueError, match=rf"^{name} is not known: give overrides=\{{'{name}': \.\.\.\}}"):
        to_training_config(network, data, model, training)
    given_ = {"train_data_file": "scan.npz", "n_groups": 5}
    found = to_training_config(network, data, model, training, {name: given_[name]})
    assert (found.train_data_file, found.n_groups) == (Path("scan.npz"), {"n_groups": 5}.get(name, 12))


def test_the_deprecated_number_of_images_is_a_number_of_groups():
    configs = complete(n_groups=None)
    data, model, training = (configs[kind] for kind in (DataConfig, ModelConfig, TrainingConfig))
    with pytest.warns(DeprecationWarning, match="'n_images' is deprecated"):
        found = to_training_config(
            to_model_config(data, model), data, model, training, {"n_images": 6, "n_groups": None}
        )
    assert found.n_groups == 6


@pytest.mark.parametrize("name", sorted(_FILES))
def test_a_reconstruction_must_know_its_files(name):
    data, model = DataConfig(), ModelConfig()
    overrides = {key: value for key, value in _FILES.items() if key != name}
    with pytest.raises(ValueError, match=rf"^{name} is not known: give overrides="):
        to_inference_config(to_model_config(data, model), data, InferenceConfig(), overrides)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"grid_size": (2, 3)}, r"^Non-square grids not supported: grid_size is 2 x 3, so give"),
        ({"grid_size": 2}, r"^grid_size must be two whole numbers, rows and columns, not 2$"),
        ({"grid_size": (3, 3), "C": 5}, r"^C=5 was given, but a group of grid_size 3 x 3 has 9 patterns"),
        ({"C_model": 1, "C_forward": 2}, r"^C_model=1, C_forward=2 was given, .* give 4"),
        ({"mode": "unsupervised"}, r"^Invalid mode 'unsupervised': give 'Unsupervised' or 'Supervised'$"),
        ({"amp_activation": "gelu"}, r"^Unknown activation 'gelu': give one of 'silu', 'SiLU', "),
        ({"loss_function": "NLL"}, r"^loss_function must be one of 'Poisson', .*'mae', not 'NLL'$"),
        ({"torch_loss_mode": "l2"}, r"^torch_loss_mode must be one of 'Poisson', .*'mae', not 'l2'$"),
        ({"device": "quantum"}, r"^device must be one of 'cuda', 'auto', .* not 'quantum'$"),
        ({"orchestrator": "Wandb"}, r"^orchestrator must be one of 'Mlflow', 'Lightning', not 'Wandb'$"),
        (
            {"gradient_clip_algorithm": "agc"},
            r"^gradient_clip_algorithm must be .*'norm', 'value', not 'agc'$",
        ),
        ({"max_neighbor_distance": 9.0}, r"have no meaning for neighbor_function='Nearest': choose"),
    ],
)
def test_what_cannot_be_translated_is_told_in_one_sentence(settings_, message):
    configs = complete(**settings_)
    data, model, training = (configs[kind] for kind in (DataConfig, ModelConfig, TrainingConfig))
    with pytest.raises(ValueError, match=message) as caught:
        to_training_config(to_model_config(data, model), data, model, training)
        to_execution_config(training, configs[InferenceConfig])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("side", [1, 2, 3, 5])
def test_channels_at_their_default_follow_the_grid(side):
    assert to_model_config(DataConfig(grid_size=(side, side)), ModelConfig()).gridsize == side


def test_a_run_on_one_device_is_not_spread_and_a_gpu_is_taken_where_there_is_one():
    """What ptychodus sends from every machine: device 'cuda', strategy 'ddp_spawn', one device."""
    execution = to_execution_config(TrainingConfig(strategy="ddp_spawn"), InferenceConfig())
    assert (execution.accelerator, execution.devices, execution.strategy) == ("auto", 1, "auto")
    spread = to_execution_config(TrainingConfig(strategy="ddp_spawn", n_devices=2), InferenceConfig())
    assert (spread.devices, spread.strategy) == (2, "ddp_spawn")


def test_placeholders_may_be_bridged_and_are_refused_where_they_would_be_used():
    network = to_model_config(DataConfig(N=0), ModelConfig())
    assert problems_of(network) == ["N must be >= 2, not 0"]

"""The global dictionary: one table of defaults, derived values that cannot be stale."""

from __future__ import annotations

import pickle

import pytest
from config_strategies import configs
from hypothesis import given
from hypothesis import strategies as st
from pinn_config import (
    ConfigError,
    InferenceConfig,
    ModelConfig,
    ParameterNotFoundError,
    TrainingConfig,
    legacy,
)
from pinn_config.bridge import dataclass_to_legacy_dict, update_legacy_dict

# The keys of the historical dictionary (facts, section 1.7).
HISTORICAL = [
    "N",
    "offset",
    "gridsize",
    "outer_offset_train",
    "outer_offset_test",
    "batch_size",
    "nepochs",
    "n_filters_scale",
    "output_prefix",
    "big_gridsize",
    "max_position_jitter",
    "sim_jitter_scale",
    "default_probe_scale",
    "mae_weight",
    "nll_weight",
    "tv_weight",
    "realspace_mae_weight",
    "realspace_weight",
    "nphotons",
    "nimgs_train",
    "nimgs_test",
    "data_source",
    "probe.trainable",
    "intensity_scale.trainable",
    "positions.provided",
    "object.big",
    "probe.big",
    "probe_scale",
    "set_phi",
    "probe.mask",
    "pad_object",
    "model_type",
    "label",
    "size",
    "amp_activation",
    "h5_path",
    "npseed",
    "debug",
    "gaussian_smoothing_sigma",
    "use_xla_translate",
]


def test_every_historical_key_has_a_default(fresh_cfg) -> None:
    assert sorted(fresh_cfg) == sorted(HISTORICAL)


def test_the_defaults_are_those_of_the_configs(fresh_cfg) -> None:
    bridged = dataclass_to_legacy_dict(TrainingConfig(ModelConfig())) | {
        "debug": InferenceConfig(ModelConfig()).debug
    }
    for key in bridged.keys() & set(HISTORICAL):
        assert legacy.get(key) == bridged[key], key


@given(configs)
def test_get_answers_what_was_bridged_or_the_default(fresh_cfg, config) -> None:
    update_legacy_dict(fresh_cfg, config)
    flat = dataclass_to_legacy_dict(config)
    assert {key: legacy.get(key) for key in flat} == flat
    for key in set(HISTORICAL) - flat.keys():
        assert legacy.get(key) == legacy.DEFAULTS[key]
    assert legacy.params() == {**legacy.DEFAULTS, **flat, "bigN": legacy.get("bigN")}


@given(st.integers(2, 300), st.integers(1, 5), st.integers(0, 20), st.integers(0, 20))
def test_derived_sizes(fresh_cfg, n, gridsize, offset, jitter) -> None:
    fresh_cfg.update({"N": n, "gridsize": gridsize, "offset": offset, "max_position_jitter": jitter})
    fresh_cfg["bigN"] = -1
    assert legacy.get("bigN") == n + (gridsize - 1) * offset
    assert legacy.get("padding_size") == (gridsize - 1) * offset + jitter
    assert legacy.get("padded_size") == legacy.get("bigN") + jitter
    assert legacy.params()["bigN"] == legacy.get("bigN")


@pytest.mark.parametrize(("gridsize", "size"), [(1, 74), (2, 78)])
def test_padded_sizes_of_the_public_implementation(fresh_cfg, gridsize, size) -> None:
    fresh_cfg.update({"N": 64, "gridsize": gridsize})
    assert legacy.get("padded_size") == size


def test_a_missing_key_is_a_key_error_in_a_plain_sentence(fresh_cfg) -> None:
    with pytest.raises(KeyError) as caught:
        legacy.get("intensity_scale")
    assert str(caught.value).startswith("params.cfg has no 'intensity_scale': ")
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), ParameterNotFoundError)  # noqa: S301 - it was pickled here
    assert legacy.get("intensity_scale", 3.0) == 3.0
    assert legacy.get("absent", None) is None
    legacy.set("intensity_scale", 988.2)
    assert legacy.get("intensity_scale", 3.0) == 988.2


def test_set_refuses_before_it_writes(fresh_cfg) -> None:
    before = dict(fresh_cfg)
    for key, value, words in (
        ("data_source", "nowhere", "data_source must be one of"),
        ("realspace_mae_weight", 0.5, "set realspace_weight > 0 first"),
        ("bigN", 3, "computed"),
    ):
        with pytest.raises(ConfigError, match=words):
            legacy.set(key, value)
        assert fresh_cfg == before
    legacy.set("realspace_weight", 0.5)
    legacy.set("realspace_mae_weight", 0.5)
    assert fresh_cfg == before | {"realspace_weight": 0.5, "realspace_mae_weight": 0.5}


def test_params_is_a_copy(fresh_cfg) -> None:
    legacy.params()["N"] = -1
    assert fresh_cfg["N"] == 64

"""Which terms a training's loss has is what its configuration says."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_config.errors import ConfigError
from pinn_config.objective import AMPLITUDE_WEIGHT, PHASE_WEIGHT, Objective

_WEIGHTS = st.sampled_from([0.0, 0.5, 2.0])


def test_an_objective_is_that_of_the_configuration():
    model = ModelConfig(model_type="supervised")
    settings = {
        "nll_weight": 0.5,
        "mae_weight": 0.25,
        "realspace_weight": 2.0,
        "realspace_mae_weight": 3.0,
        "amp_loss": "Total_Variation",
        "phase_loss": "Mean_Deviation",
        "amp_loss_coeff": 4.0,
        "phase_loss_coeff": 5.0,
        "phase_subtraction": False,
    }
    assert Objective.of(TrainingConfig(model, **settings)) == Objective(supervised=True, **settings)
    assert Objective.of(TrainingConfig(ModelConfig())) == Objective()
    assert {item.name for item in attrs.fields(Objective)} == {"supervised", *settings}


_TERMS = st.sampled_from([None, "Total_Variation", "Mean_Deviation"])


@given(weights=st.tuples(*(_WEIGHTS,) * 6), terms=st.tuples(_TERMS, _TERMS))
def test_what_a_training_looks_at_follows_from_its_weights(weights, terms):
    nll, mae, realspace, both, amp, phase = weights
    amp_loss, phase_loss = terms
    for supervised in (False, True):
        objective = Objective(supervised, nll, mae, realspace, both, amp_loss, phase_loss, amp, phase)
        assert objective.looks_at_diffraction == (not supervised and nll + mae > 0)
        labels = realspace * both
        own = (AMPLITUDE_WEIGHT, PHASE_WEIGHT) if supervised else (0, 0)
        assert objective.label_weights == (own[0] + labels, own[1] + labels)
        assert objective.needs_labels == (supervised or labels > 0)
        regularised = (amp_loss is not None and amp > 0) or (phase_loss is not None and phase > 0)
        assert objective.learns == (supervised or nll + mae + realspace > 0 or regularised)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "poisson_train_loss"),
        ({"nll_weight": 0.0, "mae_weight": 1.0}, "mae_train_loss"),
        ({"supervised": True}, "mae_train_loss"),
        ({"phase_loss": "Mean_Deviation"}, "poisson_train_Phase_loss"),
        (
            {"supervised": True, "amp_loss": "Mean_Deviation", "phase_loss": "Mean_Deviation"},
            "mae_train_Amp_Phase_loss",
        ),
    ],
)
def test_the_loss_has_the_name_of_its_kind(settings, name):
    objective = Objective(**settings)
    assert (objective.loss_name("train"), objective.loss_name("val")) == (name, name.replace("train", "val"))


def test_the_metric_that_is_followed_is_one_that_is_measured():
    objective = Objective(phase_loss="Mean_Deviation")
    train, val = "poisson_train_Phase_loss", "poisson_val_Phase_loss"
    for asked, with_validation, without in (
        ("val_loss", val, train),
        (val, val, train),
        ("train_loss", train, train),
        (train, train, train),
    ):
        assert objective.monitored(asked, validates=True) == with_validation
        assert objective.monitored(asked, validates=False) == without
    assert objective.monitored("val_deviance", validates=True) == "val_deviance"
    for asked, validates in (("val_deviance", False), ("colour", True)):
        with pytest.raises(ConfigError, match=f"checkpoint_monitor_metric='{asked}' is not measured"):
            objective.monitored(asked, validates)

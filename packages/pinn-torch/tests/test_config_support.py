"""No field of the configurations is accepted and then ignored."""

from __future__ import annotations

import numpy as np
import pytest
from params_cases import CLASSES, EVERY_FIELD, bridged, changed, complete, with_change
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.errors import ConfigError
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.validation import field_types
from pinn_torch.settings import config_params as pt
from pinn_torch.settings.config_support import API, OPTIONS, Honoured, Refused, problems_of, refuse_unhonoured

_SECTIONS = {
    "model": (ModelConfig,),
    "training": (TrainingConfig,),
    "inference": (InferenceConfig,),
    "both": (TrainingConfig, InferenceConfig),
    "execution": (PyTorchExecutionConfig,),
}
_IN_THE_TABLE = [(kind, name, OPTIONS[kind][name]) for kind, name in EVERY_FIELD]
_HONOURED = [(k, n, o) for k, n, o in _IN_THE_TABLE if isinstance(o, Honoured)]
_CHANNELS = ("C", "C_model", "C_forward")


def _ids(case):
    return case.__name__ if isinstance(case, type) else case if isinstance(case, str) else ""


def test_every_field_is_in_the_table_once():
    assert {(kind, name) for kind, options in OPTIONS.items() for name in options} == set(EVERY_FIELD)
    assert len(EVERY_FIELD) == sum(len(options) for options in OPTIONS.values())


@pytest.mark.parametrize(("kind", "name", "option"), _IN_THE_TABLE, ids=_ids)
def test_a_field_that_has_no_effect_is_refused_in_one_sentence_when_it_changes(kind, name, option):
    if not isinstance(option, Refused):
        assert problems_of(kind(**{name: changed(kind, name)})) == []
        return
    refuse_unhonoured(kind())
    with pytest.raises(ValueError, match=rf"^{name}=.* cannot be honoured: ") as caught:
        refuse_unhonoured(kind(**{name: changed(kind, name)}))
    text = str(caught.value)
    assert text.endswith(option.because) and "\n" not in text and ". " not in text


@pytest.mark.parametrize(("kind", "name", "option"), _HONOURED, ids=_ids)
def test_a_field_that_has_an_effect_changes_what_the_table_says_and_nothing_else(kind, name, option):
    if option.becomes == (API,):
        assert option.how
        return
    targets = set()
    for target in (t for t in option.becomes if t != API):
        section, _, setting = target.partition(".")
        assert all(setting in field_types(k) for k in _SECTIONS[section]), target
        sections = ("training", "inference") if section == "both" else (section,)
        targets |= {f"{s}.{setting}" for s in sections}
    before, after = with_change(kind, name)
    if name in _CHANNELS:
        with pytest.raises(ConfigError, match=rf"{name}=9 was given, .* 4 patterns: give 4"):
            bridged(after)
        return
    one, two = bridged(before), bridged(after)
    different = {setting for setting in one if one[setting] != two[setting]}
    assert different and different <= targets
    if option.copied:
        assert different == targets
        assert all(two[target] == changed(kind, name) for target in targets)


def test_all_problems_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        refuse_unhonoured(pt.DataConfig(normalize="Group"), pt.ModelConfig(offset=3, num_datasets=2))
    assert [problem.partition("=")[0] for problem in caught.value.problems] == [
        "normalize",
        "num_datasets",
        "offset",
    ]


def test_defaults_are_never_refused():
    refuse_unhonoured(*(kind() for kind in CLASSES))
    bridged(complete())


def test_a_mask_of_pixels_is_told_to_become_a_circle():
    configs = complete(probe_mask=np.ones((64, 64)))
    with pytest.warns(UserWarning, match="only a circular mask is supported: give True, or"):
        assert bridged(configs)["model.probe_mask"] is True
    assert bridged(complete(probe_mask=None))["model.probe_mask"] is False

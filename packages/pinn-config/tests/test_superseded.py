"""What 0.1.0 wrote still opens: what is no more is left out, said once, and changes nothing."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_config.architecture import ARCHITECTURES, network
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.errors import ConfigFileError
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.file_check import check_file, kind_of
from pinn_config.files import from_mapping, load_config, load_mapping, load_run, save_run
from pinn_config.superseded import PARAMETERS, SETTINGS, current_parameters


@pytest.mark.parametrize("line", ["overlap_passes: 3", "overlap_passes: null", "overlap_passes: many"])
def test_a_file_with_a_former_setting_opens_as_if_it_were_not_there(tmp_path, caplog, line):
    config = InferenceConfig(ModelConfig(gridsize=2), border_px=3)
    path = save_run(tmp_path / "infer.yaml", config, PyTorchExecutionConfig(num_workers=1))
    path.write_text(f"{line}  # passes over the scan\n{path.read_text()}")
    assert load_run(path, InferenceConfig) == (config, PyTorchExecutionConfig(num_workers=1))
    (said,) = caplog.records
    assert said.levelno == logging.WARNING
    assert said.message == f"{path}: overlap_passes is ignored, because {SETTINGS['overlap_passes']}"
    assert not SETTINGS.keys() & load_mapping(path).keys()
    assert kind_of(path) is InferenceConfig and check_file(path, InferenceConfig) == []


def test_a_mapping_with_a_former_setting_makes_the_same_config(caplog):
    given_, made = {"border_px": 2, "overlap_passes": 3}, InferenceConfig(ModelConfig(), border_px=2)
    assert from_mapping(given_, InferenceConfig, "the archive") == made
    assert caplog.messages == [
        "the archive: overlap_passes is ignored, because a network makes its image in one pass over the scan"
    ]
    assert given_ == {"border_px": 2, "overlap_passes": 3}


def test_former_settings_are_no_settings_and_have_no_place_in_a_section(tmp_path):
    for kind in (ModelConfig, TrainingConfig, InferenceConfig, PyTorchExecutionConfig):
        assert not SETTINGS.keys() & kind.__dataclass_fields__.keys()
    path = tmp_path / "infer.yaml"
    path.write_text("model:\n  overlap_passes: 3\n")
    with pytest.raises(ConfigFileError, match="unknown key 'overlap_passes'"):
        load_config(path, InferenceConfig)


@given(st.sampled_from(ARCHITECTURES), st.sets(st.sampled_from(PARAMETERS)))
def test_weights_lose_former_arrays_and_nothing_else(architecture, former):
    wanted = network(ModelConfig(architecture=architecture)).parameters()
    assert not wanted.keys() & set(PARAMETERS)
    assert current_parameters(wanted | dict.fromkeys(former, (16,))) == wanted
    spelled = {f"trained.{name}": shape for name, shape in wanted.items()}
    old = spelled | {f"trained.{name}": (16,) for name in former}
    assert current_parameters(old, "trained.{}".format) == spelled

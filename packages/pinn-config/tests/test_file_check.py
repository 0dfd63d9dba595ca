"""A file is told everything that is wrong with it, each with its line."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from config_strategies import configs, executions
from hypothesis import given
from hypothesis import strategies as st
from pinn_config import ConfigError, ConfigFileNotFoundError, InferenceConfig, TrainingConfig
from pinn_config.architecture import network
from pinn_config.file_check import check_file, kind_of
from pinn_config.files import load_run, save_run
from pinn_config.validation import problems_of


def _check(text, kind=TrainingConfig, defaults=None):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.yaml")
        path.write_text(text)
        return [(f.line, f.key, f.problem) for f in check_file(path, kind, defaults)]


@given(configs, executions)
def test_what_can_be_run_is_sound_and_its_kind_is_found_out(config, execution):
    with tempfile.TemporaryDirectory() as folder:
        path = save_run(Path(folder, "run.yaml"), config, execution)
        assert kind_of(path) is type(config)
        found = check_file(path, type(config))
    try:
        network(config.model)
    except ConfigError:  # an N without a network, or a layer that it has no place for
        assert all(f.key.startswith("model") for f in found) and found
    else:
        assert found == []


@given(
    batch_size=st.integers(-2, 2),
    nepochs=st.integers(-2, 2),
    n=st.integers(60, 68),
    workers=st.integers(-2, 2),
)
def test_it_says_what_validation_says(batch_size, nepochs, n, workers):
    """Law: the same sentences as of the config that the file means."""
    text = (
        f"batch_size: {batch_size}\nnepochs: {nepochs}\nmodel:\n  N: {n}\nexecution:\n"
        f"  num_workers: {workers}\n"
    )
    found = _check(text)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.yaml")
        path.write_text(text.partition("execution:")[0])
        expected = problems_of(load_run(path, TrainingConfig)[0])
    told = [problem for _, key, problem in found if not key.startswith("execution")]
    assert sorted(p for p in told if "is not supported: crop" not in p) == sorted(expected)
    assert [line for line, key, _ in found if key == "execution.num_workers"] == [6] * (workers < 0)
    assert any("is not supported: crop" in p for p in told) == (n % 2 == 0 and n != 64)


def test_all_at_once_with_lines():
    text = """\
nepoch: 3
batch_size: 0
gridsize: 2
nepochs: many
nepochs: 4
model:
  N: 65
  architecture: unrolled
execution:
  num_workers: -1
  presision: 16-mixed
"""
    found = _check(text)
    assert [(line, key) for line, key, _ in found] == [
        *((1, "nepoch"), (2, "batch_size"), (3, "gridsize"), (4, "nepochs"), (5, "nepochs")),
        *((7, "model.N"), (10, "execution.num_workers"), (11, "execution.presision")),
    ]
    told = [problem for _, _, problem in found]
    assert "did you mean 'nepochs'" in told[0] and "did you mean 'precision'" in told[7]
    assert "must be >= 1, not 0" in told[1] and "first in line 4" in told[4]


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("- a\n- b\n", 1, "", "must hold 'key: value' lines"),
        ("nepochs: 3\nbatch_size: [1\n", 3, "", "not valid YAML"),
        ("nepochs: 3\nmodel: big\n", 2, "model", "must be a section"),
        ("nepochs: 3\nexecution: [1]\n", 2, "execution", "must be a section"),
        ("3: 4\n", 1, "3", "is not text"),
        ("nepochs: !!python/name:os.system 3\n", 1, "", "not valid YAML"),
        ("nepochs: 3\nn_images: 4\nn_groups: 5\n", 2, "n_images", "differ"),
        (
            "model:\n  gridsize: 1\n  decoder_last_amp_channels: 4\n",
            3,
            "model.decoder_last_amp_channels",
            "1",
        ),
        ("model:\n  N: 64\n  architecture: unrolled\n  batch_norm: true\n", 3, "model.architecture", "leave"),
    ],
)
def test_one_thing_is_wrong(text, line, key, words):
    ((found_line, found_key, problem),) = _check(text)
    assert (found_line, found_key) == (line, key) or (key == "model.architecture" and found_line in (3, 4))
    assert words in problem


@pytest.mark.parametrize("text", ["", "# nothing\n", "model:\nexecution:\n", "n_images: 5\n"])
def test_a_file_may_say_little(text):
    assert _check(text) == [] and _check(text, InferenceConfig) == []


def test_what_is_wrong_by_itself_spoils_no_rule_about_two():
    assert [key for _, key, _ in _check("min_neighbor_distance: far\nneighbor_function: Min_dist\n")] == [
        "min_neighbor_distance"
    ]


def test_defaults_hold_where_the_file_is_silent():
    text = "model:\n  decoder_last_amp_channels: 4\n"
    assert len(_check(text)) == 1
    assert _check(text, defaults={"model": {"gridsize": 2}}) == []


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(ConfigFileNotFoundError):
        check_file(tmp_path / "nowhere.yaml", TrainingConfig)

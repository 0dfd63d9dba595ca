"""Flags in either spelling; the command line beats the file, the file beats the recipe."""

from __future__ import annotations

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_config import ConfigError, ModelConfig, PyTorchExecutionConfig, TrainingConfig
from pinn_config.files import ConfigFileError, save_run
from pinn_dispatch.cli.parser import build_parser, kebab
from pinn_dispatch.cli.shared.settings import inference_settings, training_settings
from pinn_dispatch.errors import UsageError
from pinn_dispatch.recipe import RECIPE


def _parsers():
    commands = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return commands.choices


FLAGS = [
    (name, flag)
    for name, parser in _parsers().items()
    for action in parser._actions
    for flag in action.option_strings
    if flag.startswith("--") and "-" in flag[2:]
]


@pytest.mark.parametrize(("command", "flag"), FLAGS)
def test_both_spellings_of_every_flag_are_one(command, flag):
    snake = "--" + flag[2:].replace("-", "_")
    assert kebab([command, snake, "a_b", f"{snake}=c_d"]) == [command, flag, "a_b", f"{flag}=c_d"]
    assert not any("_" in spelling for spelling in _parsers()[command]._option_string_actions)


@given(st.lists(st.text(alphabet="ab_-=.", max_size=8)))
def test_values_keep_their_underscores(arguments):
    assert kebab(["--", *arguments]) == ["--", *arguments]
    assert [len(a) for a in kebab(arguments)] == [len(a) for a in arguments]
    assert kebab(kebab(arguments)) == kebab(arguments)


def test_a_flag_takes_a_number_or_a_word():
    assert training_settings(_train("--devices", "auto")).execution.devices == "auto"
    assert training_settings(_train("--devices", "4")).execution.devices == 4


def test_a_flag_that_is_neither_says_what_is_allowed():
    with pytest.raises(UsageError, match="invalid int or auto value: 'all'"):
        _train("--devices", "all")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("recnstruct", "unknown command 'recnstruct': did you mean 'reconstruct'? (see 'pinn --help')"),
        ("config templte", "unknown command 'templte': did you mean 'template'? (see 'pinn config --help')"),
        (
            "reconstruct --dta scan.npz --output x",
            "unknown flag --dta: did you mean --data? (see 'pinn reconstruct --help')",
        ),
        ("train --n_epochs 4", "unknown flag --n-epochs: did you mean --nepochs? (see 'pinn train --help')"),
        (
            "train --backend pytroch --output x",
            "argument --backend: invalid choice 'pytroch': did you mean 'pytorch'? (see 'pinn train --help')",
        ),
    ],
)
def test_a_misspelled_name_brings_the_nearest_known_one(line, sentence, pinn):
    assert pinn(*line.split()) == (2, "", f"pinn: error: {sentence}\n")


def _train(*arguments):
    return build_parser().parse_args(kebab(["train", "--output", "o", *arguments]))


def test_recipe_where_nothing_is_said():
    settings = training_settings(_train())
    assert settings.config.backend == RECIPE["backend"]
    assert settings.config.model.architecture == RECIPE["model"]["architecture"]
    assert settings.execution.accelerator == "auto"
    assert settings.execution.enable_progress_bar is True
    assert settings.config.nepochs == RECIPE.get("nepochs", TrainingConfig(ModelConfig()).nepochs)
    assert settings.config.nll_weight == TrainingConfig(ModelConfig()).nll_weight


@given(
    written=st.dictionaries(
        st.sampled_from(["nepochs", "batch_size", "n_groups", "neighbor_count"]), st.integers(4, 99)
    ),
    flags=st.dictionaries(
        st.sampled_from(["nepochs", "batch_size", "n_groups", "neighbor_count"]), st.integers(4, 99)
    ),
)
def test_command_line_beats_file_beats_recipe(written, flags, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in written.items()))
    arguments = [part for key, value in flags.items() for part in (f"--{key}", str(value))]
    config = training_settings(_train("--config", str(path), *arguments)).for_scan(64, 1000)
    plain = TrainingConfig(ModelConfig(), n_groups=1000)
    names = ("nepochs", "batch_size", "n_groups", "neighbor_count")
    defaults = {name: RECIPE.get(name, getattr(plain, name)) for name in names}
    wanted = defaults | written | flags
    assert {key: getattr(config, key) for key in wanted} == wanted


def test_sections_are_merged_key_by_key(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("model:\n  gridsize: 1\nexecution:\n  learning_rate: 0.01\n")
    settings = training_settings(_train("--config", str(path), "--num_workers", "2"))
    assert (settings.config.model.gridsize, settings.config.model.architecture) == (
        1,
        RECIPE["model"]["architecture"],
    )
    assert (settings.execution.learning_rate, settings.execution.accelerator) == (0.01, "auto")
    assert settings.execution.num_workers == 2


def test_the_written_configuration_is_read_back_whole(tmp_path):
    first = training_settings(_train("--nepochs", "3", "--learning-rate", "0.002", "--no-deterministic"))
    config = first.for_scan(128, 77)
    path = save_run(tmp_path / "config.yaml", config, first.execution)
    again = training_settings(_train("--config", str(path)))
    assert again.for_scan(128, 5) == config
    assert again.execution == first.execution


def test_quiet_silences_the_bars_whatever_the_file_says(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("execution:\n  enable_progress_bar: true\n")
    assert training_settings(_train("--config", str(path), "--quiet")).execution.enable_progress_bar is False
    args = build_parser().parse_args(["infer", "--model", "m", "--data", "d", "--output", "o", "--quiet"])
    assert inference_settings(args)[1].enable_progress_bar is False


def test_size_of_the_patterns_comes_from_the_data():
    assert training_settings(_train()).for_scan(128, 9).model.N == 128


def test_another_size_in_the_file_is_refused(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("model:\n  N: 64\n")
    with pytest.raises(UsageError, match="sets N = 64, but the patterns are 128 x 128"):
        training_settings(_train("--config", str(path))).for_scan(128, 9)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("nepochs: many\n", ConfigFileError, "nepochs must be a whole number"),
        ("nepoch: 3\n", ConfigFileError, "did you mean 'nepochs'"),
        ("execution: fast\n", ConfigError, "execution must be a section"),
        ("model: big\n", ConfigFileError, "model must be a section"),
        ("execution:\n  num_workers: -1\n", ConfigError, "num_workers must be >= 0"),
    ],
)
def test_what_a_file_says_wrongly(text, error, words, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(error, match=words):
        training_settings(_train("--config", str(path)))


def test_execution_flags_are_checked():
    with pytest.raises(ConfigError, match="learning_rate must be > 0"):
        training_settings(_train("--learning-rate", "-1"))
    assert isinstance(training_settings(_train()).execution, PyTorchExecutionConfig)


@pytest.mark.parametrize(
    "arguments", [["--nepochs", "x"], ["--accelerator", "abacus"], ["--gridsize"], ["--nepo", "3"], ["extra"]]
)
def test_usage_is_one_sentence(arguments, pinn):
    code, out, err = pinn("train", "--output", "o", *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("pinn: error: ") and err.count("\n") == 1

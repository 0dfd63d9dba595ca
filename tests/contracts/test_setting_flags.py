"""Fields as flags: what is typed arrives as the field's value, and only what is typed arrives."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

import pytest
from config_strategies import executions, inferences, models, trainings
from hypothesis import given
from hypothesis import strategies as st
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.command.flags import add_flags, kebab

KINDS = {
    ModelConfig: models,
    TrainingConfig: trainings,
    InferenceConfig: inferences,
    PyTorchExecutionConfig: executions,
}


def _parser(kind, **options):
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    names = [item.name for item in fields(kind) if item.name != "model"]
    add_flags(parser, kind, names, **options)
    return parser, names


def _typed(name, value):
    if isinstance(value, bool):
        return [f"--{'' if value else 'no-'}{name}"]
    return [f"--{name}={value}"]


@given(data=st.data(), kind=st.sampled_from(list(KINDS)))
def test_what_is_typed_is_the_value_of_the_field_and_the_rest_is_absent(data, kind):
    parser, names = _parser(kind)
    config = data.draw(KINDS[kind])
    # None, and the one text among the booleans, cannot be typed.
    sayable = [n for n in names if getattr(config, n) is not None and getattr(config, n) != "warn"]
    chosen = data.draw(st.sets(st.sampled_from(sayable)))
    arguments = [part for name in sorted(chosen) for part in _typed(name, getattr(config, name))]
    found = vars(parser.parse_args(kebab(arguments)))
    assert found == {name: getattr(config, name) for name in chosen}


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_help_describes_every_field_with_its_default(kind):
    parser, names = _parser(kind, defaults={"nepochs": 71})
    text = "".join(parser.format_help().split())  # argparse breaks lines at hyphens, too
    for item in (item for item in fields(kind) if item.name in names):
        assert "".join(item.metadata["help"].split()) in text
    assert ("(default:71)" in text) == ("nepochs" in names)


def test_the_help_tells_what_an_unset_value_means_and_that_a_folder_is_one():
    parser, _ = _parser(TrainingConfig)
    text = " ".join(parser.format_help().split())
    assert "number of patterns to use, drawn at random (default: all)" in text
    assert "also optimise the probe (default: off)" in text
    assert "--output-dir DIR" in text


def test_a_flag_may_have_other_names():
    parser = argparse.ArgumentParser()
    add_flags(
        parser, TrainingConfig, ["nepochs", "batch_size"], spelled={"nepochs": ("max_epochs", "nepochs")}
    )
    assert vars(parser.parse_args(["--max-epochs", "3"])) == {"nepochs": 3}
    assert vars(parser.parse_args(["--nepochs", "4", "--batch-size", "2"])) == {"nepochs": 4, "batch_size": 2}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--devices", "auto"], {"devices": "auto"}),
        (["--devices", "3"], {"devices": 3}),
        (["--max-neighbor-distance", "2.5"], {"max_neighbor_distance": 2.5}),
        (["--output-dir", "a_b"], {"output_dir": Path("a_b")}),
    ],
)
def test_a_number_may_be_a_word_and_a_path_keeps_its_underscores(arguments, expected):
    parser = argparse.ArgumentParser()
    add_flags(parser, PyTorchExecutionConfig, ["devices"])
    add_flags(parser, TrainingConfig, ["max_neighbor_distance", "output_dir"])
    assert vars(parser.parse_args(arguments)) == expected


@pytest.mark.parametrize("arguments", [["--devices", "few"], ["--accelerator", "abacus"], ["--devices"]])
def test_what_is_no_value_of_the_field_is_refused(arguments):
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_flags(parser, PyTorchExecutionConfig, ["devices", "accelerator"])
    with pytest.raises(argparse.ArgumentError):
        parser.parse_args(arguments)


@given(st.lists(st.text(alphabet="ab_-=.", max_size=8)))
def test_values_keep_their_underscores(arguments):
    assert kebab(["--", *arguments]) == ["--", *arguments]
    assert [len(a) for a in kebab(arguments)] == [len(a) for a in arguments]
    assert kebab(kebab(arguments)) == kebab(arguments)


def test_a_text_may_have_choices_that_its_type_does_not_tell():
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_flags(parser, ModelConfig, ["architecture"], choices={"architecture": ("cnn", "unet")})
    assert vars(parser.parse_args(["--architecture", "unet"])) == {"architecture": "unet"}
    with pytest.raises(argparse.ArgumentError, match="invalid choice: 'vgg'"):
        parser.parse_args(["--architecture", "vgg"])

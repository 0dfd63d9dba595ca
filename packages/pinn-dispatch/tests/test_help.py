"""The help of `pinn` is plain: every text obeys the law of help texts."""

from __future__ import annotations

from dataclasses import fields

import pytest
from pinn_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig
from pinn_data.command.testing import all_parsers, parser_faults, text_faults
from pinn_dispatch.cli.parser import COMMANDS, build_parser

PARSERS = list(all_parsers(build_parser()))


def test_every_command_is_looked_at():
    assert len(PARSERS) == 1 + len(COMMANDS) + 2  # `pinn config` has two commands of its own


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.prog)
def test_the_help_of_a_command_is_plain(parser):
    assert parser_faults(parser) == []


@pytest.mark.parametrize("kind", [ModelConfig, TrainingConfig, InferenceConfig, PyTorchExecutionConfig])
def test_the_description_of_a_setting_is_plain(kind):
    faults = {item.name: text_faults(item.metadata["help"]) for item in fields(kind) if item.name != "model"}
    assert {name: found for name, found in faults.items() if found} == {}

"""The help of `pinn-torch` and of the historical modules is plain: every text obeys the law of help texts."""

from __future__ import annotations

from dataclasses import fields

import pytest
from pinn_data.command.testing import all_parsers, parser_faults, text_faults
from pinn_torch.cli import build_parser, inference, train
from pinn_torch.settings import config_params

PARSERS = [*all_parsers(build_parser()), train.build_parser(), inference.build_parser()]


def test_every_command_is_looked_at():
    assert len(PARSERS) == 3 + 2


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.prog)
def test_the_help_of_a_command_is_plain(parser):
    assert parser_faults(parser) == []


@pytest.mark.parametrize("name", config_params.__all__)
def test_the_description_of_a_historical_setting_is_plain(name):
    faults = {item.name: text_faults(item.metadata["help"]) for item in fields(getattr(config_params, name))}
    assert {name: found for name, found in faults.items() if found} == {}

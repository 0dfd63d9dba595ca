"""The law of help texts finds what it is for, and a plain text has no fault."""

from __future__ import annotations

import argparse

import pytest
from pinn_data.command.testing import all_parsers, parser_faults, text_faults


@pytest.mark.parametrize(
    "text",
    [
        "",
        "of everything that is drawn (default: 0)",
        "NPZ with a scan to validate on; none: none",
        "gradients are clipped to this; none: not at all",
        "who opens the network (default: who trained it)",
        "what SOURCE is (default: told by its contents)",
        "how the learning rate changes; Default: not (default: Default)",
        "groups that are drawn; none: 512 (default: 512) (default: 512)",
        "members of a group are within so many nearest neighbours of its first",
        "the truth: a scan with objectGuess, or another image",
        "object to detector, metres",
        "width of the smoothing of the illuminated object, in pixels",
        "settings in a file; flags beat it",
        "Output folder",
        "output folder.",
        "processes that load data; 0: the main process",
        "counts in every pixel besides",
        "photons in one pattern, where the data do not tell",
        "then reverse x",
        "a" * 300,
    ],
)
def test_a_riddle_is_found(text):
    assert text_faults(text)


@pytest.mark.parametrize(
    "text",
    [
        "random seed (default: 0)",
        "NPZ file with the validation scan (default: no validation)",
        "K: group members are drawn from the anchor's K nearest neighbours (default: 6)",
        "learning-rate schedule; Default keeps it constant (default: MultiStage)",
        "compile the network first (takes minutes, needs a C++ compiler)",
        "distance from object to detector [m]",
        "side of a diffraction pattern, even [pixels] (default: 64)",
    ],
)
def test_a_plain_text_has_no_fault(text):
    assert text_faults(text) == []


def test_faults_of_a_whole_parser_are_found():
    parser = argparse.ArgumentParser(description="Learns a scan.")
    commands = parser.add_subparsers(title="commands")
    sub = commands.add_parser("sub", help="What it does.", description="Simulate a scan.")
    group = sub.add_argument_group("how it is executed")
    group.add_argument("--size", metavar="PX", help="side of the object")
    group.add_argument("--seed", default=3, help="random seed")
    group.add_argument("--bare")
    above, below = (parser_faults(one) for one in all_parsers(parser))
    assert len(above) == 3 and "description" in above[0]
    assert [line.split(":")[0] for line in below] == ["group", "--size", "--seed", "--bare"]


def test_a_sound_parser_has_no_fault():
    parser = argparse.ArgumentParser(description="Simulate a scan.")
    parser.add_argument("--size", metavar="PX", default=3, help="side of the object [pixels] (default: 3)")
    assert parser_faults(parser) == []

"""What cannot be read on a command line is one sentence that names what was probably meant."""

from __future__ import annotations

import pytest
from pinn_data.command.parser import CommandParser
from pinn_data.errors import RequestError


@pytest.fixture
def parser():
    whole = CommandParser(prog="tool")
    whole.add_argument("--version", action="version", version="1")
    commands = whole.add_subparsers(metavar="COMMAND", required=True)
    learn = commands.add_parser("learn")
    learn.add_argument("--data", required=True)
    learn.add_argument("--batch-size", type=int)
    learn.add_argument("--device", choices=("cpu", "cuda"))
    commands.add_parser("look")
    return whole


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("laern", "unknown command 'laern': did you mean 'learn'? (see 'tool --help')"),
        ("xyz", "unknown command 'xyz': choose one of learn, look (see 'tool --help')"),
        ("--verzion", "unknown flag --verzion: did you mean --version? (see 'tool --help')"),
        ("learn --dta x", "unknown flag --dta: did you mean --data? (see 'tool learn --help')"),
        ("learn --data x --batch_sise=3", "unknown flag --batch-sise: did you mean --batch-size? ("),
        ("learn --data x --bat 3", "unknown flag --bat: did you mean --batch-size? ("),
        (
            "learn --dta x --devise cpu",
            "unknown flags --dta and --devise: did you mean --data and --device? (",
        ),
        ("learn --data x --qqq", "unknown flag --qqq (see 'tool learn --help')"),
        ("learn --data x -q", "unknown flag -q (see 'tool learn --help')"),
        ("learn --data x y", "unexpected argument y (see 'tool learn --help')"),
        ("learn --data x --device cdua", "argument --device: invalid choice 'cdua': did you mean 'cuda'? ("),
        (
            "learn --data x --device tpu9",
            "argument --device: invalid choice 'tpu9': choose one of cpu, cuda (",
        ),
        ("look --data x", "unknown flag --data (see 'tool look --help')"),
    ],
)
def test_the_sentence_names_what_was_probably_meant(parser, line, sentence):
    with pytest.raises(RequestError) as caught:
        parser.parse_args(line.split())
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("line", ["learn --data=--x", "learn --batch_size 3 --data y"])
def test_what_is_known_is_read(parser, line):
    assert parser.parse_args(line.split()).data in ("x", "y", "--x")


def test_help_is_shown_whatever_follows(parser, capsys):
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(["learn", "--help", "--dta"])
    assert caught.value.code == 0 and "--batch-size" in capsys.readouterr().out

"""Exit codes of every command: 0 done, 1 failed, 2 usage or bad input, 130 interrupted, 143 terminated."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_table import ROWS
from pinn_archive import read_archive
from pinn_config import TrainingConfig
from pinn_config.files import load_run
from pinn_data.files.product import read_product
from pinn_dispatch.cli.parser import build_parser

BY_COMMAND = {row.command: row for row in ROWS}
USAGE = [(row.command, arguments) for row in ROWS for arguments in row.usage]
BAD = [(row.command, arguments) for row in ROWS for arguments in row.bad]
# The first and the last file of each: nothing to be kept before the one, everything before the other.
STOPS = [(row.command, name) for row in ROWS for name in dict.fromkeys(row.writes[:1] + row.writes[-1:])]
NEEDS = [row.command for row in ROWS if row.needs_backend]


@pytest.fixture(scope="module")
def inputs(scan_file, tmp_path_factory):
    """Scan, model, image and a text file, by the names of the table."""
    from importlib import metadata

    from pinn_dispatch import registry
    from pinn_dispatch.cli import main

    folder = tmp_path_factory.mktemp("inputs")
    text = folder / "text"
    text.write_text("nothing of ours")
    settings = folder / "settings.yaml"
    settings.write_text("nepochs: 3\nmodel:\n  gridsize: 1\n")
    with pytest.MonkeyPatch.context() as patch:
        point, others = (
            metadata.EntryPoint("pytorch", "fake_backend", registry.ENTRY_POINTS),
            metadata.entry_points,
        )
        patch.setattr(
            registry.metadata,
            "entry_points",
            lambda group, **name: [point] if group == registry.ENTRY_POINTS else others(group=group, **name),
        )
        patch.setattr(registry.util, "find_spec", lambda name: object())
        train = ["train", "--data", scan_file, "--output", folder / "model", "--quiet"]
        infer = ["infer", "--model", folder / "model", "--data", scan_file, "--output", folder / "image"]
        assert main([str(a) for a in train]) == 0 and main([*map(str, infer), "--quiet"]) == 0
    made = {"MODEL": folder / "model", "IMAGE": folder / "image", "SETTINGS": settings, "TEXT": text}
    return {"SCAN": scan_file} | made


@pytest.fixture
def words(inputs, tmp_path):
    """words(command, arguments): the arguments of the table with their paths; OUT is new."""
    paths = inputs | {"OUT": tmp_path / "new" / "out"}

    def filled(command: str, arguments: str) -> list[str]:
        parts = []
        for word in arguments.split():
            name, slash, rest = word.partition("/")
            parts.append(f"{paths.get(name, name)}{slash}{rest}")
        return [*command.split(), *parts]

    return filled


def _commands(parser, before=()):
    """The commands of a parser, those of `pinn config` one by one."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        return [" ".join(before)]
    return [c for name, sub in inner[0].choices.items() for c in _commands(sub, (*before, name))]


def test_every_command_has_a_row():
    assert sorted(_commands(build_parser())) == sorted(BY_COMMAND)


@pytest.mark.parametrize("command", [c for c in BY_COMMAND if c != "doctor"])  # tests/contracts has that
def test_done_is_0(command, pinn, backend, words, tmp_path):
    code, out, err = pinn(*words(command, BY_COMMAND[command].works), "--quiet")
    assert (code, err) == (0, "") and out
    found = {path.name for path in (tmp_path / "new").rglob("*") if path.is_file()}
    assert found == {*BY_COMMAND[command].writes, *BY_COMMAND[command].tells}


@pytest.mark.parametrize(("command", "arguments"), [*USAGE, *BAD])
def test_usage_and_bad_input_are_2(command, arguments, pinn, backend, words, tmp_path):
    code, _, err = pinn(*words(command, arguments), "--quiet")
    assert code == 2
    assert err.startswith("pinn: error: ") and err.count("\n") == 1 and "Traceback" not in err
    assert not (tmp_path / "new").exists()
    assert backend.CALLS == []


@pytest.mark.parametrize("command", BY_COMMAND)
def test_a_flag_that_does_not_exist_is_2(command, pinn, backend, words, tmp_path):
    code, _, err = pinn(*words(command, BY_COMMAND[command].works), "--no-such-flag")
    assert code == 2 and "--no-such-flag" in err and err.count("\n") == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("command", NEEDS)
def test_a_missing_backend_is_1(command, pinn, provide, words, tmp_path):
    provide()
    code, out, err = pinn(*words(command, BY_COMMAND[command].works), "--quiet")
    assert code == 1
    said = out if command == "doctor" else err
    assert "pip install" in said and (command == "doctor" or "PyTorch backend selected" in said)
    assert (out, err.count("\n")) == ("", 1) or command == "doctor"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("command", [c for c in BY_COMMAND if c not in NEEDS])
def test_what_needs_no_backend_works_without_one(command, pinn, provide, words):
    provide()
    assert pinn(*words(command, BY_COMMAND[command].works), "--quiet")[0] == 0


@pytest.mark.processes
@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
@pytest.mark.parametrize(("command", "name"), STOPS)
def test_a_request_to_stop_leaves_finished_files_and_no_halves(command, name, words, tmp_path):
    """It comes when a file is written and has not got its name yet."""
    row = BY_COMMAND[command]
    request, code = (signal.SIGTERM, 143) if name == row.writes[0] else (signal.SIGINT, 130)
    running = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("stopped_child.py"), name, *words(command, row.works)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while "waiting" not in running.stderr.readline():
            assert running.poll() is None
        running.send_signal(request)
        _, err = running.communicate(timeout=120)
    finally:
        running.kill()
    assert running.returncode == code, err
    assert err.endswith("pinn: interrupted; finished results are kept\n") and "Traceback" not in err
    found = {path.name: path for path in (tmp_path / "new").rglob("*") if path.is_file()}
    assert set(found) == {*row.writes[: row.writes.index(name)], *row.tells}
    assert found or not (tmp_path / "new").exists()
    for path in found.values():
        _WHOLE[path.suffix](path)


def _read_npz(path):
    with np.load(path, allow_pickle=False) as file:
        assert len(dict(file)) > 2


_WHOLE = {
    ".npz": _read_npz,
    ".h5": read_product,
    ".zip": read_archive,
    ".json": lambda path: json.loads(path.read_text()),
    ".csv": lambda path: path.read_text().splitlines()[1],
    ".yaml": lambda path: load_run(path, TrainingConfig),
    ".log": lambda path: path.read_text().splitlines()[1],
    ".png": lambda path: path.read_bytes().index(b"IEND"),
}


@pytest.mark.processes
def test_a_reader_that_has_seen_enough_gets_no_complaint(inputs):
    """As `pinn info ... | head -0` does."""
    command = [sys.executable, "-m", "pinn_dispatch.cli", "info", str(inputs["SCAN"]), "--quiet"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    running.stdout.close()
    assert running.stderr.read() == b""
    assert running.wait() == 1

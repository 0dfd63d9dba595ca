"""Every command that the documentation shows in a block is run, or read by the program that it starts.

The documents in `RUN` are run line by line, with small settings added at the end of a command; what takes
hours or another machine is only parsed (`PARSED`); what continuous integration runs itself must stand in its
files (`BY_CI`); the rest is `ELSEWHERE`, each with its reason.  A command that is in none of these fails.
"""

from __future__ import annotations

import argparse
import re
import runpy
import shlex
import shutil
import sys
from functools import partial
from importlib import import_module
from pathlib import Path

import h5py
import numpy as np
import pytest
from documents import DOCUMENTS, ROOT, blocks
from pinn_data.files.npz import read_scan
from pinn_data.files.product import write_product
from pinn_data.scan.positions import Canvas
from pinn_dispatch.reconstruction import Reconstruction, product_of

# Documents whose commands run here, one after the other.
RUN = (
    "README.md",
    "docs/clients.md",
    "docs/cluster.md",
    "docs/convert.md",
    "docs/defects.md",
    "docs/masks.md",
    "docs/measured_scan.md",
    "docs/own_scan.md",
    "packages/pinn-dispatch/README.md",
    "packages/pinn-torch/README.md",
)

# Read by the program's own parser, and not run.
PARSED = {
    "docs/backends.md": "test_tensorflow_commands.py runs them small, each framework in a process of its own",
    "docs/ptychodus.md": "`make ptychodus` runs them small",
    "docs/training.md": "40 minutes",
    "torchrun": "two machines; test_distributed.py of pinn-torch runs it on one",
    "uv run python -m benchmarks": "hours",
    "uv run python -m tests.fuzz": "test_hostile_files.py runs 1500 cases, and kills writers",
}

# Where continuous integration runs a command as it stands.
BY_CI = {
    "pip install uv": [".github/workflows/ci.yml"],
    "uv run pinn demo": [".github/workflows/ci.yml", ".ci/run"],
    "uv run pytest -n auto": [".ci/run", "Makefile"],
    "uv sync --all-groups": [".github/workflows/ci.yml", ".ci/run"],
    "make check": [".github/workflows/ci.yml"],
    "make docs": [".github/workflows/ci.yml", ".ci/run"],
    "make alone": [".github/workflows/package.yml", ".ci/run"],
    "make names": [".github/workflows/ci.yml"],
    "make wheels": [".github/workflows/ci.yml"],
}

ELSEWHERE = {
    r"git clone <this repository>": "a placeholder",
    r"cd <its folder>": "a placeholder",
    r"pip install (ptychodus==1\.7\.0 )?\"?pinn-[a-z]+(\[[a-z,]+\])?\"?": "`make alone` installs the wheel",
    r"uv venv": "`make alone` makes an environment",
    r"uv pip install (--torch-backend cpu )?\"?\./packages/pinn-[a-z]+(\[[a-z]+\])?\"?": "like `make alone`",
    r"uv run pinn doctor --run": "test_doctor.py runs it",
    r"uv run --package (pinn-[a-z]+) pytest packages/\1/tests": "`make alone` runs these tests",
    r"make alone PACKAGES=pinn-[a-z]+ RESOLUTION=lowest-direct": "the matrix of package.yml has it",
    r"make contracts BACKEND=pytorch": "the matrix of ci.yml has it",
    r"make test": "it is these tests",
    r"uv run pytest (packages/pinn-data|-m \"not processes\")": "a part of these tests",
    r"make mutations": "minutes; the workflow mutations.yml runs it",
    r"uv run python -m tests\.mutations .*": "some of the same",
    r"make bench": "a quarter of an hour, on a machine that does nothing else",
    r"ptychodus": "a window",
    r"sbatch cluster\.sbatch": "test_cluster_guide.py runs the script, as SLURM would",
}

# What is shown to be refused, and what the refusal says.
REFUSED = {
    "uv run pinn convert $CXI --guess-probe --output outputs/petra.npz": "at the scale of single pixels",
}

# At the end of a command, where they count.
_TORCH = ["--accelerator", "cpu", "--quiet"]
SMALL = {
    ("pinn_dispatch.cli", "demo"): ["--max-seconds", "1", "--side", "8", *_TORCH],
    ("pinn_dispatch.cli", "train"): ["--nepochs", "1", "--n-filters-scale", "1", "--logger", "none", *_TORCH],
    ("pinn_dispatch.cli", "infer"): _TORCH,
    ("pinn_dispatch.cli", "reconstruct"): ["--seconds", "2", "--engine", "numpy", "--quiet"],
    ("pinn_dispatch.cli", "simulate"): ["--size", "96", "-N", "64"],
    ("pinn_torch.cli", "train"): ["--max_epochs", "1", "--n_filters_scale", "1", "--devices", "1", *_TORCH],
    ("pinn_torch.cli", "infer"): ["--devices", "1", *_TORCH],
}


def commands(document: str) -> list[str]:
    """What the blocks without a language hold: a line each, without comments; ``a && b`` is two."""
    found = []
    for language, text in blocks(document):
        for line in text.replace("\\\n", " ").splitlines() if not language else []:
            parts = line.split(" #")[0].strip().removesuffix(" &").split(" && ")
            found += [" ".join(part.split()) for part in parts if part and not part.startswith("#")]
    return found


ALL = [(document, command) for document in DOCUMENTS for command in commands(document)]


_ASSIGNMENT = r"([A-Z]+)=(\S+)"


def _is_elsewhere(command: str) -> bool:
    return any(re.fullmatch(pattern, command) for pattern in ELSEWHERE)


def _is_parsed(document: str, command: str) -> bool:
    return document in PARSED or command.startswith(tuple(PARSED))


def test_the_lists_name_what_there_is():
    """An entry whose command is gone goes too."""
    shown = [command for _, command in ALL]
    assert set(BY_CI) <= set(shown)
    assert all(any(re.fullmatch(pattern, command) for command in shown) for pattern in ELSEWHERE)
    assert set(RUN) <= set(DOCUMENTS)
    assert all(name in DOCUMENTS or any(c.startswith(name) for c in shown) for name in PARSED)


def test_no_language_hides_a_command():
    for document in DOCUMENTS:
        languages = {language for language, _ in blocks(document)}
        # test_cluster_guide.py runs the script of that guide.
        allowed = {"", "python", "yaml", "toml", "text"} | (
            {"bash"} if document == "docs/cluster.md" else set()
        )
        assert languages <= allowed, (
            f"{document}: commands stand in a block without a language, so that they are run"
        )


@pytest.mark.parametrize(("command", "files"), BY_CI.items())
def test_continuous_integration_runs_what_it_is_said_to(command, files):
    for file in files:
        lines = [line.split("#")[0] for line in (ROOT / file).read_text("utf-8").splitlines()]
        assert any(re.search(rf"(?<![\w-]){re.escape(command)}(?![\w-])", line) for line in lines), file


MAIN = {"pinn": "pinn_dispatch.cli", "pinn-torch": "pinn_torch.cli"}


class _Parsed(BaseException):
    """The arguments were understood; no command takes this for a failure."""


def _program(words: list[str]):
    """The main program of a command and its arguments."""
    if words[:2] == ["uv", "run"]:
        words = words[2:]
    name, *arguments = words
    if name in MAIN:
        return import_module(MAIN[name]).main, arguments
    if name == "torchrun":
        name, arguments = "python", arguments[arguments.index("-m") :]
    assert name == "python", f"do not know how to start {words}"
    if arguments[0] == "-m":
        return partial(_as_main, runpy.run_module, arguments[1]), arguments[2:]
    if not (ROOT / arguments[0]).exists():
        assert arguments[0].startswith("../shared/"), f"there is no {arguments[0]}"
        pytest.skip(f"{arguments[0]} is not here")
    return partial(_as_main, runpy.run_path, str(ROOT / arguments[0])), arguments[1:]


def _as_main(run, program: str, argv: list[str]) -> None:
    sys.argv[:] = [program, *argv]
    run(program, run_name="__main__")


@pytest.mark.parametrize(
    ("document", "command"),
    [
        row
        for row in ALL
        if _is_parsed(*row) and not _is_elsewhere(row[1]) and not re.match(_ASSIGNMENT, row[1])
    ],
    ids=lambda text: text.replace("/", " "),
)
def test_the_program_understands(document, command, monkeypatch):
    real = argparse.ArgumentParser.parse_args

    def parse_only(self, *arguments, **options):
        real(self, *arguments, **options)
        raise _Parsed

    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    main, arguments = _program(shlex.split(command.replace("$STAR", "scan.npz")))
    with pytest.raises(_Parsed):
        assert main(arguments) == "the arguments were not parsed"


@pytest.fixture
def folder_with_scans(tmp_path, scan_file, monkeypatch) -> Path:
    """A working folder with the files that the documents speak of, small; some patterns lie at y<238."""
    with np.load(scan_file) as file:
        arrays = dict(file)
    down = int(238 - np.quantile(arrays["ycoords"], 0.1))
    arrays["ycoords"] = arrays["ycoords"] + down
    arrays["objectGuess"] = np.pad(arrays["objectGuess"], ((down, 0), (0, 0)), constant_values=1)
    np.savez(tmp_path / "scan.npz", **arrays)
    for name in ("other.npz", "truth.npz"):
        shutil.copy(tmp_path / "scan.npz", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    _write_measurements(read_scan("scan.npz"))
    return tmp_path


def _write_measurements(scan) -> None:
    """A scan as a beamline or ptychodus leaves it, under the names that the documents have for that."""
    geometry = {"detector_distance_m": 1.92, "photon_energy_eV": 8800.0, "pixel_size_m": 98e-9}
    found = Reconstruction(
        scan.object,
        np.ones(scan.object.shape, np.float32),
        Canvas((0, 0), scan.object.shape),
        scan.positions,
        scan.probe,
        {},
    )
    write_product("product.h5", product_of(found, geometry))
    with h5py.File("diffraction.h5", "w") as file:
        file["data"] = scan.counts()
    np.save("frames.npy", scan.counts())
    np.save("mask.npy", np.arange(scan.N**2).reshape(scan.N, scan.N) == 7)
    motors = scan.positions[:, ::-1] * 0.1
    np.savetxt("motors.csv", motors, delimiter=",", header="x_um,y_um", comments="")
    convert = "convert scan.npz --output beamline.cxi --distance 1.92m --energy 8.8keV --detector-pixel 172um"
    assert import_module("pinn_dispatch.cli").main(convert.split()) == 0


def _stand_in(file: str) -> str:
    """A small scan for a large one; a file that only its measurement is like, as it is."""
    if not file.endswith(".cxi"):
        return "scan.npz"
    if not (ROOT / file).exists():
        pytest.skip(f"{file} is not here")
    return str(ROOT / file)


@pytest.mark.parametrize("document", RUN)
def test_the_commands_of_a_document_work(document, folder_with_scans, capfd):
    variables: dict[str, str] = {}
    ran = 0
    for command in commands(document):
        if assigned := re.fullmatch(_ASSIGNMENT, command):
            variables[assigned[1]] = _stand_in(assigned[2])
            continue
        if command in BY_CI or _is_elsewhere(command) or _is_parsed(document, command):
            continue
        shown = command
        for name, value in variables.items():
            command = command.replace(f"${name}", value)
        main, arguments = _program(shlex.split(command))
        if "old.h5" in arguments:  # an image that another program made
            shutil.copy("image/reconstruction.h5", "old.h5")
        small = SMALL.get((main.__module__, arguments[0]), [])
        capfd.readouterr()
        code, err = main([*arguments, *small]), capfd.readouterr().err
        if shown in REFUSED:
            assert code == 2 and REFUSED[shown] in err
        else:
            assert code == 0, f"{document}: {command}\n{err}"
        ran += 1
    assert ran, f"{document} holds no command that runs"


def test_every_command_is_in_one_of_the_lists():
    unknown = [
        f"{document}: {command}"
        for document, command in ALL
        if not (
            document in RUN or _is_parsed(document, command) or command in BY_CI or _is_elsewhere(command)
        )
    ]
    assert not unknown

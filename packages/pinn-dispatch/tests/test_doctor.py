"""`pinn doctor`: every problem with the command that mends it, and a crash is a line of the report."""

from __future__ import annotations

import json
import shlex
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_dispatch.doctor import backends, installation, machine
from pinn_dispatch.doctor.backends import backend_findings
from pinn_dispatch.doctor.trial import MARK

LOADED = {"stage": "loaded", "module": "some.module"}
FRAMEWORK = {"stage": "framework", "name": "torch"}
CPU = {"kind": "cpu", "name": "x86_64", "threads": 4}
CARD = {"kind": "cuda", "name": "Some Card", "memory_bytes": 8e10, "free_bytes": 7e10}
DEVICES = {"stage": "devices", "version": "9.9", "devices": [CPU]}
TRAINED = {"stage": "trained", "seconds": 2.0, "losses": [5.0, 3.0]}
DONE = {"stage": "reconstructed", "residual": 0.25, "seconds": 9.0}


@pytest.fixture
def child(monkeypatch, provide):
    """child(*stages, code=0, err=''): what an interpreter that tries a backend leaves; its commands."""
    provide(pytorch="fake_backend", tensorflow="fake_backend")
    commands = []

    def leaves(*stages, code=0, err=""):
        out = "a framework's own line\n" + "".join(MARK + json.dumps(stage) + "\n" for stage in stages)

        def run(command, **options):
            commands.append(command)
            if code is None:
                raise subprocess.TimeoutExpired(command, options["timeout"], out.encode())
            return subprocess.CompletedProcess(command, code, out, err)

        monkeypatch.setattr(backends.subprocess, "run", run)
        return commands

    return leaves


def _told(findings):
    return [(found.level, found.says) for found in findings]


def test_a_backend_that_works(child, tmp_path):
    child(LOADED, FRAMEWORK, DEVICES | {"devices": [CPU, CARD]}, TRAINED, DONE)
    works, findings = backend_findings("pytorch", runs=True, seconds=9, gpus=tmp_path / "none")
    assert works and {found.level for found in findings} == {"ok"}
    says = " ".join(found.says for found in findings)
    assert "cuda: Some Card, 80.0 GB, 70.0 GB free" in says and "4 threads" in says and "R = 0.250" in says


@pytest.mark.parametrize(
    ("stages", "code", "err", "words"),
    [
        ((), -11, "", "starting it failed: the process crashed (SIGSEGV)"),
        (
            (LOADED, FRAMEWORK),
            -6,
            "x\nlast words\n",
            "importing the framework failed: the process crashed (SIGAB",
        ),
        ((LOADED, FRAMEWORK), None, "", "importing the framework failed: not finished after 9 s"),
        ((LOADED, FRAMEWORK, DEVICES), 3, "oops\n", "training of the self-test failed: it ended with code 3"),
        ((LOADED, {"stage": "failed", "kind": "OSError", "says": "no libfoo"}), 1, "", "failed: no libfoo"),
    ],
)
def test_a_backend_that_does_not(stages, code, err, words, child, tmp_path):
    child(*stages, code=code, err=err)
    works, findings = backend_findings("pytorch", runs=True, seconds=9, gpus=tmp_path)
    assert not works and findings[-1].level == "problem" and words in findings[-1].says
    assert shlex.split(findings[-1].mend)[-2:] == ["torch>=2.2", "pinn-torch"]


@pytest.mark.parametrize(("devices", "level"), [([CPU], "problem"), ([CPU, CARD], "ok")])
def test_a_card_that_is_not_seen_is_a_problem(devices, level, child, tmp_path):
    (tmp_path / "0000:01:00.0").mkdir()
    child(LOADED, FRAMEWORK, DEVICES | {"devices": devices})
    works, findings = backend_findings("tensorflow", runs=False, seconds=9, gpus=tmp_path)
    assert works and findings[-1].level == level
    assert findings[-1].mend == (None if level == "ok" else "pip install 'tensorflow[and-cuda]'")


def test_missing_parts_of_a_backend(provide):
    provide()
    assert [f.level for f in backend_findings("pytorch", runs=False, seconds=9)[1]] == ["note"]
    provide(framework_found=False, pytorch="fake_backend")
    works, (found,) = backend_findings("pytorch", runs=False, seconds=9)
    assert not works and found.level == "problem" and "torch is not installed" in found.says


def test_the_report_of_the_command(child, pinn):
    commands = child(LOADED, FRAMEWORK, DEVICES)
    code, out, err = pinn("doctor")
    assert (code, err) == (0, "") and "PyTorch device: cpu" in out and "pinn-config" in out
    assert len(commands) == 2 and not any("--run" in command for command in commands)
    assert pinn("doctor", "--run")[0] == 0 and all("--run" in command for command in commands[2:])
    code, out, _ = pinn("doctor", "--json")
    report = json.loads(out)
    assert code == 0 and report["backends"] == {"tensorflow": True, "pytorch": True}
    assert {"level", "subject", "says", "mend"} == set(report["findings"][0])


def test_every_problem_says_what_mends_it_and_quiet_shows_nothing_else(child, pinn, monkeypatch):
    child(LOADED, code=-11)
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    code, out, _ = pinn("doctor", "--quiet")
    lines = out.splitlines()
    assert code == 1 and len(lines) >= 8
    assert all(line.startswith("problem ") for line in lines[::2])
    assert all(line.strip().startswith("fix: ") for line in lines[1::2])
    assert any("OMP_NUM_THREADS" in line for line in lines)


def test_without_a_backend_it_ends_with_1(provide, pinn):
    provide()
    code, out, err = pinn("doctor", "--quiet")
    assert (code, err) == (1, "") and "no backend works" in out and "pinn-dispatch[pytorch]" in out


@pytest.fixture
def installed(monkeypatch):
    """installed({name: (version, requirements)}): what there is."""

    def set_(packages):
        def version(name):
            if name not in packages:
                raise metadata.PackageNotFoundError(name)
            return packages[name][0]

        monkeypatch.setattr(installation.metadata, "version", version)
        monkeypatch.setattr(installation.metadata, "requires", lambda name: packages[name][1])

    return set_


def test_requirements_that_are_not_met_are_found_at_any_depth(installed):
    installed(
        {
            "pinn-torch": (
                "0.1.0",
                ["torch>=2.2", "attrs", "mlflow; extra == 'mlflow'", "w; sys_platform == 'x'"],
            ),
            "torch": ("2.1", ["sympy==1.13", "fast[quick]>=1"]),
            "attrs": ("24.1", None),
            "fast": ("1.5", ["quickly>=3; extra == 'quick'", "never; extra == 'slow'", "torch"]),
        }
    )
    found = {f.subject: (f.says, f.mend) for f in installation.requirements()}
    assert found == {
        "pinn-torch 0.1.0": ("needs torch>=2.2, which is 2.1", "pip install 'torch>=2.2'"),
        "torch 2.1": ("needs sympy==1.13, which is not installed", "pip install sympy==1.13"),
        "fast 1.5": ("needs quickly>=3, which is not installed", "pip install 'quickly>=3'"),
    }


def test_the_versions_of_what_is_not_there_are_notes(installed):
    installed({"pinn-config": ("0.1.0", None)})
    found = {f.subject: (f.level, f.says) for f in installation.versions()}
    assert found["pinn-config"] == ("ok", "0.1.0") and found["torch"] == ("note", "not installed")


@pytest.mark.parametrize(
    ("version", "packages", "spec", "levels"),
    [
        (None, (), True, ["note"]),
        ("1.7.0", ("pinn-tf", "pinn-torch"), True, ["ok", "ok", "ok"]),
        ("2.0", ("pinn-tf",), True, ["note", "ok", "problem"]),
        ("1.7.0", (), False, ["ok", "note", "note"]),
    ],
)
def test_what_ptychodus_would_find(version, packages, spec, levels, installed, monkeypatch):
    there = dict.fromkeys(packages, ("0.1.0", None))
    installed(there | ({"ptychodus": (version, None)} if version else {}))
    monkeypatch.setattr(installation, "find_spec", lambda name: object() if spec else None)
    assert [found.level for found in installation.ptychodus()] == levels


def _groups(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text + "\n")
    return folder


@given(quota=st.integers(1, 10**8), period=st.integers(1000, 10**6))
def test_the_share_of_time_bounds_the_cores(quota, period, tmp_path_factory):
    folder = tmp_path_factory.mktemp("groups")
    free = machine.usable_cores(_groups(folder, cpu_max="max 100000"))
    cores = machine.usable_cores(_groups(folder, cpu_max=f"{quota} {period}"))
    assert cores == max(1, min(free, -(-quota // period)))


@pytest.mark.parametrize(
    ("said", "level"), [("1", "ok"), ("2", "problem"), ("0", "problem"), ("x", "problem"), (None, None)]
)
def test_threads_against_cores(said, level, tmp_path, monkeypatch):
    groups = _groups(tmp_path, cpu_max="50000 100000")  # one core
    if said is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setattr(machine.os, "cpu_count", lambda: 8)
        level = "note"
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    cores, found = machine.threads(groups)
    assert cores.says.startswith("1 usable of") and found.level == level
    assert found.mend == (None if level == "ok" else "export OMP_NUM_THREADS=1")


def test_the_group_s_memory_bounds_the_machine_s(tmp_path):
    (found,) = machine.memory(_groups(tmp_path, memory_max="3000000000", memory_current="1500000000"))
    assert found.level == "note" and found.says.startswith("1.5 GB free of 3.0 GB")


def test_folders_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    good, _ = machine.folders(tmp_path)
    bad, _ = machine.folders(tmp_path / "file")
    assert good.level != "problem" and bad.level == "problem" and bad.mend
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

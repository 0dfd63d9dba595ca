"""Whether each backend works, tried in an interpreter of its own: a crash is a line of the report."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata, util
from pathlib import Path
from typing import Any

from pinn_dispatch.doctor.findings import Finding, note, ok, problem
from pinn_dispatch.doctor.trial import MARK
from pinn_dispatch.registry import ENTRY_POINTS, row_of

__all__ = ["GPUS", "backend_findings"]

GPUS = Path("/proc/driver/nvidia/gpus")
"""Where the driver of NVIDIA lists its cards."""

_GB = 1e9
_WITH_CUDA = {
    "pytorch": "pip install --force-reinstall torch",
    "tensorflow": "pip install 'tensorflow[and-cuda]'",
}
_DOES = {
    "loaded": "loading the backend",
    "framework": "importing the framework",
    "devices": "the training of the self-test",
    "trained": "the reconstruction of the self-test",
}


def backend_findings(
    name: str, *, runs: bool, seconds: float, gpus: Path = GPUS
) -> tuple[bool, list[Finding]]:
    """Whether the backend `name` works, and what was found out.

    runs : it is trained and reconstructs, too
    seconds : after so long it counts as hanging
    """
    row = row_of(name)
    install = " ".join(shlex.quote(word) for word in row.install.split())
    if not metadata.entry_points(group=ENTRY_POINTS, name=name):
        return False, [note(row.title, "not installed: no package provides this backend", install)]
    if util.find_spec(row.framework) is None:
        return False, [problem(row.title, f"its framework {row.framework} is not installed", install)]
    stages, ended = _tried(name, runs, seconds)
    told = {stage["stage"]: stage for stage in stages}
    findings: list[Finding] = []
    if "loaded" in told:
        findings.append(ok(row.title, f"{told['loaded']['module']} has every function of a backend"))
    if "devices" in told:
        findings.append(ok(row.title, f"{row.framework} {told['devices']['version']} can be imported"))
        findings += _devices(name, told["devices"]["devices"], gpus)
    if "reconstructed" in told:
        losses, made = told["trained"]["losses"], told["reconstructed"]
        findings.append(
            ok(
                f"{row.title} self-test",
                f"trained on 16 patterns (loss {losses[0]:.4g} to {losses[-1]:.4g}), reconstructed 16 "
                f"patterns with R = {made['residual']:.3f}, {made['seconds']:.0f} s in total",
            )
        )
    if ended is None:
        return True, findings
    upgrade = install.replace("pip install", "pip install --upgrade --force-reinstall")
    if "failed" in told:
        ended = f"{told['failed']['says'] or told['failed']['kind']}"
    last = next((stage["stage"] for stage in reversed(stages) if stage["stage"] in _DOES), None)
    doing = _DOES.get(last or "", "starting it")
    return False, [*findings, problem(row.title, f"{doing} failed: {ended}", upgrade)]


def _tried(name: str, runs: bool, seconds: float) -> tuple[list[dict[str, Any]], str | None]:
    """The stages that the child passed, and why it ended; None: it came to its end."""
    command = [sys.executable, "-P", "-m", "pinn_dispatch.doctor.trial", name, *(["--run"] if runs else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds)
    except subprocess.TimeoutExpired as error:
        out = error.stdout or b""
        text = out if isinstance(out, str) else out.decode(errors="replace")
        return _stages(text), f"not finished after {seconds:g} s (--time-limit)"
    if done.returncode == 0:
        return _stages(done.stdout), None
    said = next((line.strip() for line in reversed(done.stderr.splitlines()) if line.strip()), "")
    why = f"it ended with code {done.returncode}"
    if done.returncode < 0:
        why = f"the process crashed ({signal.Signals(-done.returncode).name})"
    return _stages(done.stdout), f"{why}; its last message: {said}" if said else why


def _stages(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix(MARK)) for line in text.splitlines() if line.startswith(MARK)]


def _devices(name: str, devices: Sequence[Mapping[str, Any]], gpus: Path) -> list[Finding]:
    title, findings = row_of(name).title, []
    for device in devices:
        parts = [f"{device['kind']}: {device['name']}"]
        if device.get("memory_bytes"):
            parts.append(f"{device['memory_bytes'] / _GB:.1f} GB")
        if device.get("free_bytes"):
            parts.append(f"{device['free_bytes'] / _GB:.1f} GB free")
        if device.get("threads"):
            parts.append(f"{device['threads']} threads")
        findings.append(ok(f"{title} device", ", ".join(parts)))
    if gpus.is_dir() and any(gpus.iterdir()) and not any(device["kind"] == "cuda" for device in devices):
        findings.append(
            problem(
                f"{title} device",
                "this machine has an NVIDIA GPU that it does not see, so it runs on the CPU",
                _WITH_CUDA[name],
            )
        )
    return findings

"""Cores, threads, memory and folders of this machine, as far as this process may use them."""

from __future__ import annotations

import math
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pinn_dispatch.doctor.findings import Finding, note, ok, problem

__all__ = ["folders", "memory", "threads", "usable_cores"]

_GB = 1e9
_LITTLE_MEMORY, _LITTLE_DISK = 2 * _GB, 1 * _GB
_CGROUPS = Path("/sys/fs/cgroup")


def usable_cores(cgroups: Path = _CGROUPS) -> int:
    """Cores that this process may use: those of its affinity (taskset, SLURM), and no more than its share of
    time (containers)."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # neither macOS nor Windows has it
        cores = os.cpu_count() or 1
    for folder in _own_groups(cgroups):
        quota = _words(folder / "cpu.max")  # "max 100000", or microseconds of time in a period
        if len(quota) == 2 and quota[0].isdigit() and quota[1].isdigit():
            cores = min(cores, math.ceil(int(quota[0]) / int(quota[1])))
    return max(1, cores)


def threads(cgroups: Path = _CGROUPS) -> Iterator[Finding]:
    """How many threads the arithmetic takes, against the cores that there are."""
    cores, here = usable_cores(cgroups), os.cpu_count() or 1
    yield ok("cores", f"{cores} usable of {here}")
    said = os.environ.get("OMP_NUM_THREADS")
    mend = f"export OMP_NUM_THREADS={cores}"
    if said is None:
        if cores < here:
            yield note("OMP_NUM_THREADS", f"not set, so {here} threads may share {cores} cores", mend)
        else:
            yield ok("OMP_NUM_THREADS", f"not set: as many threads as cores ({cores})")
    elif not said.strip().isdigit() or int(said) < 1:
        yield problem("OMP_NUM_THREADS", f"is {said!r}, but a whole number above 0 is needed", mend)
    elif int(said) > cores:
        yield problem("OMP_NUM_THREADS", f"is {said}, more threads than the {cores} usable cores", mend)
    elif int(said) < cores:
        yield note("OMP_NUM_THREADS", f"is {said}, so {cores - int(said)} of {cores} cores stay idle", mend)
    else:
        yield ok("OMP_NUM_THREADS", said)


def memory(cgroups: Path = _CGROUPS) -> Iterator[Finding]:
    """Memory that is there, and that is free."""
    try:
        total = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        yield note("memory", "not known on this system")
        return
    free = next(
        (float(line.split()[1]) * 1024 for line in _lines("/proc/meminfo") if "MemAvailable" in line), total
    )
    for folder in _own_groups(cgroups):
        limit = _words(folder / "memory.max")
        if limit and limit[0].isdigit():
            used = _words(folder / "memory.current")
            total = min(total, float(limit[0]))
            free = min(free, float(limit[0]) - float(used[0] if used else 0))
    says = f"{max(free, 0) / _GB:.1f} GB free of {total / _GB:.1f} GB"
    if free < _LITTLE_MEMORY:
        yield note("memory", f"{says}, which is little: a smaller --batch-size needs less")
    else:
        yield ok("memory", says)


def folders(output: Path) -> Iterator[Finding]:
    """Whether results and temporary files can be written, and how much space there is."""
    elsewhere = "--output to a folder that you may write to"
    for subject, folder, mend in (
        (
            "output folder",
            output,
            f"mkdir -p {shlex.quote(str(output))} && chmod u+rwx {shlex.quote(str(output))}",
        ),
        ("temporary folder", Path(tempfile.gettempdir()), "export TMPDIR=$HOME/tmp && mkdir -p $TMPDIR"),
    ):
        try:
            with tempfile.TemporaryFile(dir=folder):
                free = shutil.disk_usage(folder).free
        except OSError as error:
            yield problem(
                subject, f"{folder} cannot be written ({(error.strerror or str(error)).lower()})", mend
            )
            continue
        says = f"{folder}, {free / _GB:.1f} GB free"
        if free < _LITTLE_DISK:
            yield note(subject, f"{says}, which is little: set {elsewhere if folder == output else 'TMPDIR'}")
        else:
            yield ok(subject, says)


def _own_groups(cgroups: Path) -> list[Path]:
    """Folders of the control groups (version 2) that this process is in, and those above, which limit too."""
    inner = next((line[3:] for line in _lines("/proc/self/cgroup") if line.startswith("0::")), "/")
    own = cgroups / inner.strip("/")
    return [folder for folder in (own, *own.parents) if folder.is_relative_to(cgroups)]


def _lines(path: str | Path) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()

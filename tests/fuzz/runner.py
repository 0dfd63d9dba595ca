"""Reads many cases in processes of their own, and says what was wrong with which.

A process reads some thousand cases and tells its parent, over a pipe, about each; so a crash and a standstill
inside a library are seen too, and the batch goes on behind the case that did it.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import logging
import os
import resource
import select
import shutil
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import attrs
from pinn_dispatch.info.kinds import KINDS

from . import seeds
from .cases import Case, case
from .opened_files import OpenedFiles
from .openers import ALWAYS, OPENERS, problem_of
from .watch import LateError, Watch

__all__ = ["Report", "run"]

SECONDS = 10.0  # for one call; the slowest take a tenth of a second
MEMORY_CONSTANT, MEMORY_FACTOR = 24 * 2**20, 10
ADDRESS_SPACE = 2 * 2**30  # more than a worker has at its start; beyond it, MemoryError
_STANDSTILL = 60.0
_BATCH = 2000
_TRACED = 7  # one case in so many has its allocations traced, which takes five times as long
_MOST_FAILURES = 1000
_SENTINEL = b"nobody writes here\n"


@attrs.define
class Report:
    """What a run has seen."""

    seed: int
    start: int
    count: int = 0
    seconds: float = 0.0
    kinds: Counter[str] = attrs.field(factory=Counter)
    mutations: Counter[str] = attrs.field(factory=Counter)
    outcomes: Counter[str] = attrs.field(factory=Counter)
    calls: int = 0
    peak_traced_bytes: int = 0
    peak_resident_bytes: int = 0
    slowest_seconds: float = 0.0
    failed: int = 0
    failures: list[dict[str, Any]] = attrs.field(factory=list)

    def add(self, row: Mapping[str, Any]) -> None:
        """Count one case."""
        self.count += 1
        self.kinds[row["kind"]] += 1
        self.mutations.update(f"{row['kind']} {name}" for name in set(row["mutations"]))
        self.outcomes.update(f"{row['kind']} {outcome}" for outcome in row["outcomes"])
        self.calls += len(row["outcomes"])
        self.peak_traced_bytes = max(self.peak_traced_bytes, row["traced_bytes"])
        self.peak_resident_bytes = max(self.peak_resident_bytes, row["resident_bytes"])
        self.slowest_seconds = max(self.slowest_seconds, row["slowest_seconds"])
        if row["problems"]:
            self.fail(row["number"], row["kind"], row["mutations"], row["problems"])

    def fail(self, number: int, kind: str, mutations: Any, problems: list[str]) -> None:
        """Count a case that went wrong, and keep the first ones."""
        self.failed += 1
        if len(self.failures) < _MOST_FAILURES:
            again = f"python -m tests.fuzz --seed {self.seed} --start {number} --count 1 --keep FOLDER"
            self.failures.append(
                {
                    "number": number,
                    "kind": kind,
                    "mutations": list(mutations),
                    "problems": problems,
                    "again": again,
                }
            )

    def as_json(self) -> str:
        """One line."""
        return json.dumps(attrs.asdict(self))


def run(
    seed: int,
    count: int,
    *,
    start: int = 0,
    openers: Mapping[str, Mapping[str, Callable[[Path], Any]]] = OPENERS,
    make: Callable[[int, int], Case] = case,
    progress: Callable[[Report], None] = lambda report: None,
    batch: int = _BATCH,
) -> Report:
    """The report on `count` cases from number `start` on; on fewer where the user interrupts.

    openers : calls by kind of file; make : case of (seed, number)
    progress : is told after every batch
    """
    report, begun = Report(seed, start), time.monotonic()
    number, end = start, start + count
    with contextlib.suppress(KeyboardInterrupt):
        while number < end:
            number = _batch(report, seed, range(number, min(end, number + batch)), openers, make)
            report.seconds = round(time.monotonic() - begun, 1)
            progress(report)
    return report


def _batch(report: Report, seed: int, numbers: range, openers: Any, make: Any) -> int:
    """Reads cases in a child until all are read or one kills it; the number behind the last that was read."""
    root = Path(mkdtemp(prefix="fuzz-"))
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        code = 70
        try:
            _work(root, seed, numbers, openers, make, send)
            code = 0
        except BaseException as error:
            os.write(send, json.dumps({"broken": f"{type(error).__name__}: {error}"}).encode() + b"\n")
        finally:
            os._exit(code)
    os.close(send)
    try:
        following, still = _listen(report, numbers.start, receive, child)
        status = os.waitpid(child, 0)[1]
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    finally:
        shutil.rmtree(root, ignore_errors=True)
    if following < numbers.stop:
        name = "stood still" if still else f"died of signal {os.WTERMSIG(status)}, status {status}"
        bad = make(seed, following)
        report.fail(following, bad.kind, bad.mutations, [f"the process {name}"])
        report.count += 1
        following += 1
    return following


def _listen(report: Report, following: int, receive: int, child: int) -> tuple[int, bool]:
    """The number behind the last case that the child tells of, and whether it was killed for standing
    still."""
    still, rest = False, b""
    with open(receive, "rb", buffering=0) as pipe:
        while True:
            if not select.select([pipe], [], [], _STANDSTILL)[0]:
                os.kill(child, signal.SIGKILL)
                still = True
            data = pipe.read(2**16)
            if not data:
                return following, still
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                row = json.loads(line)
                if "broken" in row:
                    raise RuntimeError(f"the harness itself failed behind case {following}: {row['broken']}")
                report.add(row)
                following = row["number"] + 1


def _work(root: Path, seed: int, numbers: range, openers: Any, make: Any, send: int) -> None:
    folder, outside = root / "case", root / "outside"
    outside.mkdir()
    (outside / "sentinel").write_bytes(_SENTINEL)
    _sentinel_h5(outside / "sentinel.h5")
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    sys.stderr = sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for the life of this process
    watch, opened = Watch(folder, SECONDS), OpenedFiles(outside)
    _warm_up(folder)
    opened.names()
    _limit_address_space()
    before = _state(root)
    for number in numbers:
        made = make(seed, number)
        folder.mkdir()
        os.chdir(folder)
        path = made.write(folder)
        row = {
            "number": number,
            "kind": made.kind,
            "mutations": made.mutations,
            **_read(number, made, path, openers, watch),
        }
        os.chdir(root)
        shutil.rmtree(folder)
        row["problems"] += [f"opened elsewhere: {name}" for name in opened.names()]
        after = _state(root)
        if after != before:
            row["problems"].append(f"files elsewhere changed: {sorted(set(after) ^ set(before))}")
            before = after
        os.write(send, json.dumps(row).encode() + b"\n")


def _read(number: int, made: Case, path: Path, openers: Any, watch: Watch) -> dict[str, Any]:
    problems: list[str] = []
    outcomes: list[str] = []
    traced = resident = 0
    slowest = 0.0
    calls = list(openers[made.kind].items())
    others = calls[ALWAYS:]
    for name, opener in calls[:ALWAYS] + ([others[number % len(others)]] if others else []):
        outcome, begun = "accepted", time.perf_counter()
        try:
            with watch.watching(traced=(number // _TRACED) % _TRACED == 0) as seen:
                found = opener(path)
                del found
        except LateError:
            outcome = "late"
            problems.append(f"{name}: more than {SECONDS:g} s")
        except Exception as error:
            outcome = type(error).__name__
            problem = problem_of(error)
            if problem:
                problems.append(f"{name}: {problem}")
        slowest = max(slowest, time.perf_counter() - begun)
        outcomes.append(outcome)
        problems += [f"{name}: {event}" for event in seen.events]
        traced, resident = max(traced, seen.traced_bytes), max(resident, seen.resident_bytes)
        allowed = MEMORY_CONSTANT + MEMORY_FACTOR * max(made.size, made.unpacked)
        if max(seen.traced_bytes, seen.resident_bytes) > allowed:
            mebi = [f"{size / 2**20:.0f} MiB" for size in (seen.traced_bytes, seen.resident_bytes, made.size)]
            problems.append(f"{name}: {mebi[0]} allocated, {mebi[1]} resident, for a file of {mebi[2]}")
    return {
        "problems": problems,
        "outcomes": outcomes,
        "traced_bytes": traced,
        "resident_bytes": resident,
        "slowest_seconds": round(slowest, 3),
    }


def _warm_up(folder: Path) -> None:
    """Reads some cases, so that modules imported on demand are there, and an import means something."""
    for kind in KINDS:  # few cases look like those of each kind
        import_module(kind.describer.partition(":")[0])
    plain = [Case("yaml", (), {"case.yaml": text}) for text in (b"", seeds.yaml_text().encode())]
    for made in (*plain, *(case(2**31, number) for number in range(60))):
        folder.mkdir()
        os.chdir(folder)
        path = made.write(folder)
        for opener in OPENERS[made.kind].values():
            with contextlib.suppress(Exception):
                opener(path)
        os.chdir(folder.parent)
        shutil.rmtree(folder)
        owned = folder.parent / "outside" / "owned"
        if owned.is_dir():
            owned.rmdir()
        owned.unlink(missing_ok=True)


def _sentinel_h5(path: Path) -> None:
    import h5py

    codecs.lookup("ascii")  # h5py has it imported with the first odd text
    with h5py.File(path, "w") as file:
        file["object"] = [1 + 1j]


def _limit_address_space() -> None:
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    limit = now + ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _state(root: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of everything beside the folder of the cases."""
    found = []
    for folder in (root, root / "outside"):
        for entry in os.scandir(folder):
            status = entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                found.append((entry.path, 0, 0))
            else:
                found.append((entry.path, status.st_size, status.st_mtime_ns))
    return sorted(found)

"""``python -m tests.mutations [ids]``: see the package's docstring."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from queue import SimpleQueue

from .mutant import KINDS, Mutant, MutantError, read_tables
from .sandbox import Sandbox


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if every mutant was noticed, 1 if one was not, 2 if no mutant has such a name."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("ids", nargs="*", help="mutants, or beginnings of their ids; default all of them")
    parser.add_argument("--package", action="append", help="those of this package only; may be repeated")
    parser.add_argument("--kind", choices=KINDS, help="those of this kind only")
    parser.add_argument("--jobs", type=int, default=1, help="mutants that are tried at once; default 1")
    parser.add_argument("--list", action="store_true", help="say which they are, and run nothing")
    given = parser.parse_args(arguments)
    mutants = [
        mutant
        for mutant in read_tables()
        if (not given.ids or any(mutant.id.startswith(text) for text in given.ids))
        and (not given.package or mutant.package in given.package)
        and given.kind in (None, mutant.kind)
    ]
    if not mutants:
        print("no mutant has such a name: `--list` says which there are", file=sys.stderr)
        return 2
    if given.list:
        print("\n".join(f"{m.package:14}{m.kind:9}{m.id}" for m in mutants))
        return 0
    return _run(mutants, max(1, given.jobs))


def _run(mutants: list[Mutant], jobs: int) -> int:
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder, ExitStack() as opened:
        sandboxes: SimpleQueue[Sandbox] = SimpleQueue()
        for number in range(jobs):
            place = Path(folder, str(number))
            place.mkdir()
            sandboxes.put(opened.enter_context(closing(Sandbox(place))))
        trouble = _without_mutants(mutants, sandboxes)
        if trouble:
            print(trouble, file=sys.stderr)
            return 1

        def tried(mutant: Mutant) -> tuple[str, str, float]:
            sandbox, began = sandboxes.get(), time.perf_counter()
            try:
                word, why = _tried(mutant, sandbox)
            finally:
                sandboxes.put(sandbox)
            return word, why, time.perf_counter() - began

        counts: Counter[str] = Counter()
        with ThreadPoolExecutor(jobs) as pool:
            for mutant, (word, why, seconds) in zip(mutants, pool.map(tried, mutants), strict=True):
                counts[word] += 1
                print(f"{word:10}{seconds:5.0f} s  {mutant.id}: {why}", flush=True)
    print(", ".join(f"{number} {word}" for word, number in sorted(counts.items())))
    return 0 if set(counts) == {"killed"} else 1


def _without_mutants(mutants: list[Mutant], sandboxes: SimpleQueue[Sandbox]) -> str:
    """What is wrong without any mutant: every test that is named must pass. Each package in a process of its
    own, for backends do not share one."""
    named: dict[str, set[str]] = {}
    for mutant in mutants:
        for test in mutant.tests:
            named.setdefault(test.split("/")[0], set()).add(test)
    sandbox = sandboxes.get()
    try:
        for tests in named.values():
            found = sandbox.run(sorted(tests), to_the_end=True)
            wrong = [*found.failed, *found.skipped]
            if wrong or found.trouble:
                return f"ERROR: without any mutant {', '.join(wrong) or 'there'} is no pass: {found.trouble}"
    finally:
        sandboxes.put(sandbox)
    return ""


def _tried(mutant: Mutant, sandbox: Sandbox) -> tuple[str, str]:
    """``killed``, ``SURVIVED`` or ``ERROR``, and why."""
    try:
        with sandbox.mutated(mutant):
            found = sandbox.run(mutant.tests)
    except MutantError as error:
        return "ERROR", str(error)
    if found.failed:
        return "killed", found.failed[0]
    if found.trouble or found.skipped:
        return "ERROR", found.trouble or f"{found.skipped[0]} was skipped"
    return "SURVIVED", ", ".join(mutant.tests)


if __name__ == "__main__":
    sys.exit(main())

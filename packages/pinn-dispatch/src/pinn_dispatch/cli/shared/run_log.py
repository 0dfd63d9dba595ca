"""Progress of the solver: a bar or lines on the error stream, and a log file beside the results."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pinn_data.progress.reports import Progress, Watcher

__all__ = ["LOG_NAME", "run_log"]

LOG_NAME = "reconstruct.log"


@contextmanager
def run_log(path: Path, *, quiet: bool) -> Iterator[Watcher]:
    """A watcher whose progress, and the solver's decisions, go to the file `path`; to the error stream too,
    unless `quiet`: on a terminal as a bar. If the block raises, the file goes again."""
    from pinn_data.progress.bar import progress_bar
    from pinn_data.progress.lines import progress_lines

    solver = logging.getLogger("pinn_data.solver")
    before = solver.level, solver.propagate
    file = logging.FileHandler(path, mode="w", encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    solver.addHandler(file)
    solver.setLevel(min(logging.INFO, solver.getEffectiveLevel()))
    solver.propagate = solver.propagate and not quiet
    on_terminal = not quiet and sys.stderr.isatty()
    try:
        with progress_bar(on_terminal) as bar:
            watchers = [progress_lines(lambda line: file.handle(_record(line)))]
            if bar is not None:
                watchers.append(bar)
            elif not quiet:
                watchers.append(progress_lines(lambda line: print(line, file=sys.stderr, flush=True)))

            def watch(progress: Progress) -> None:
                for watcher in watchers:
                    watcher(progress)

            yield watch
    except BaseException:
        file.close()
        if path.is_file():  # and no device
            path.unlink()
        raise
    finally:
        solver.setLevel(before[0])
        solver.propagate = before[1]
        solver.removeHandler(file)
        file.close()


def _record(line: str) -> logging.LogRecord:
    return logging.LogRecord(__name__, logging.INFO, __file__, 0, line, None, None)

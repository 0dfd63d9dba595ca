"""Messages of the commands to the user: progress, warnings and results."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Report", "listen_to_log"]

_PACKAGES = ("pinn_archive", "pinn_config", "pinn_data", "pinn_dispatch", "pinn_tf", "pinn_torch")


class Report:
    """Prints messages; with `quiet`, only results and warnings."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since this report was made."""
        return time.perf_counter() - self.start

    def note(self, text: str) -> None:
        """Prints a line of progress."""
        if not self.quiet:
            print(text, flush=True)

    def warn(self, sentence: str) -> None:
        """Prints a warning on the error stream, even with `quiet`."""
        print(f"warning: {sentence}", file=sys.stderr, flush=True)

    @contextmanager
    def stage(self, text: str) -> Iterator[None]:
        """Says what is being done, with a moving sign on a terminal, and how long it took."""
        if self.quiet:
            yield
            return
        from rich.console import Console

        begun = time.perf_counter()
        console = Console(file=sys.stdout)
        if console.is_terminal:
            with console.status(text):
                yield
        else:
            yield
        self.note(f"{text}: {time.perf_counter() - begun:.1f} s")

    def result(self, rows: dict[str, object]) -> None:
        """Prints the results: one name and value per line, aligned."""
        width = max(len(name) for name in rows)
        for name, value in rows.items():
            print(f"{name:<{width}}  {value}", flush=True)


def listen_to_log(*, quiet: bool, debug: bool) -> None:
    """Shows what the packages log (one line says how a file was understood) on the error stream."""
    logging.basicConfig(format="%(message)s")
    level = logging.DEBUG if debug else logging.WARNING if quiet else logging.INFO
    for name in _PACKAGES:
        logging.getLogger(name).setLevel(level)

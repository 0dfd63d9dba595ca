"""What must not happen while a file is read: code that runs, files elsewhere, memory, time.

CPython tells an audit hook about every file that is opened, every process, socket, import and unpickled name
(PEP 578). A hook stays for the life of its process, so it only looks while a case is read.
"""

from __future__ import annotations

import mmap
import os
import signal
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

__all__ = ["LateError", "Watch"]

_FORBIDDEN_CALLS_OF_OS = (
    "chdir chmod chown exec fork forkpty kill link mkdir posix_spawn putenv remove removexattr rename rmdir "
    "setxattr spawn startfile symlink system truncate unsetenv utime"
)
_FORBIDDEN = frozenset(
    [f"os.{name}" for name in _FORBIDDEN_CALLS_OF_OS.split()]
    + ["exec", "import", "pickle.find_class", "marshal.load", "marshal.loads", "code.__new__"]
    + ["function.__new__", "builtins.input", "sys.addaudithook", "sys.settrace", "sys.setprofile"]
)
_FORBIDDEN_PREFIXES = ("ctypes.", "ftplib.", "http.", "mmap.", "pty.", "shutil.", "smtplib.", "socket.")
_FORBIDDEN_PREFIXES += ("subprocess.", "tempfile.", "urllib.", "webbrowser.")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class LateError(BaseException):
    """The time of a case is up. No `Exception`: no reader may take it for a damaged file."""


@attrs.define
class Seen:
    """What was seen while something was read."""

    events: list[str] = attrs.field(factory=list)
    traced_bytes: int = 0
    resident_bytes: int = 0


class Watch:
    """Looks at what happens in the blocks of `watching`; made once a process."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = os.path.realpath(folder)
        self._seconds = seconds
        self._seen: Seen | None = None
        sys.addaudithook(self._hook)
        signal.signal(signal.SIGALRM, self._late)

    @contextmanager
    def watching(self, traced: bool) -> Iterator[Seen]:
        """What was seen in the block, complete at its end. Raises LateError in a block that takes too long.

        traced_bytes : most that Python and NumPy had allocated besides what there was before, touched or not;
            0 unless `traced`
        resident_bytes : by how much the peak of the process grew
        """
        seen = Seen()
        resident = _resident_anew()
        if traced:
            tracemalloc.start()
        signal.setitimer(signal.ITIMER_REAL, self._seconds)
        self._seen = seen
        try:
            yield seen
        finally:
            self._seen = None
            signal.setitimer(signal.ITIMER_REAL, 0)
            seen.traced_bytes = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            seen.resident_bytes = max(0, _peak_resident() - resident)

    def _late(self, *_: object) -> None:
        if self._seen is not None:
            raise LateError

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        seen = self._seen
        if seen is None:
            return
        if event == "open":
            self._opened(seen, *arguments)
        elif event == "mmap.__new__" and _maps_a_file_to_read(*arguments):
            return
        elif event in _FORBIDDEN or event.startswith(_FORBIDDEN_PREFIXES):
            seen.events.append(f"{event} {str(arguments)[:120]}")

    def _opened(self, seen: Seen, path: Any, mode: Any, flags: int) -> None:
        if isinstance(path, int):
            return
        name = os.fsdecode(path)
        if flags & _WRITES:
            seen.events.append(f"open for writing {name}")
        elif not os.path.realpath(name).startswith(self._folder):
            seen.events.append(f"open elsewhere {name}")


def _maps_a_file_to_read(descriptor: int, length: int, access: int, offset: int) -> bool:
    return descriptor >= 0 and access == mmap.ACCESS_READ


def _resident_anew() -> int:
    """Resident bytes now; from here on counts the peak of the process (proc_pid_clear_refs(5))."""
    with open("/proc/self/clear_refs", "wb", buffering=0) as file:
        file.write(b"5")
    return _peak_resident()


def _peak_resident() -> int:
    with open("/proc/self/status", "rb", buffering=0) as file:
        status = file.read()
    at = status.index(b"VmHWM:") + 6
    return int(status[at : status.index(b"kB", at)]) * 1024

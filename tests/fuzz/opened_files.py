"""Which files of a folder were opened, by libraries in C too: HDF5 tells no audit hook (inotify(7))."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

__all__ = ["OpenedFiles"]

_IN_OPEN, _IN_ISDIR = 0x20, 0x40000000
_EVENT = struct.Struct("iIII")  # watch, mask, cookie, bytes of the name behind it


class OpenedFiles:
    """Looks at one folder from now on."""

    def __init__(self, folder: Path) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._descriptor = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0 or library.inotify_add_watch(self._descriptor, bytes(folder), _IN_OPEN) < 0:
            raise OSError(ctypes.get_errno(), f"{folder} cannot be watched")

    def names(self) -> list[str]:
        """Names of the files that were opened since this was asked last."""
        found = set()
        while True:
            try:
                data = os.read(self._descriptor, 2**16)
            except BlockingIOError:
                return sorted(found)
            at = 0
            while at < len(data):
                _, mask, _, length = _EVENT.unpack_from(data, at)
                at += _EVENT.size + length
                if not mask & _IN_ISDIR:  # the folder itself is listed after each case
                    found.add(os.fsdecode(data[at - length : at].rstrip(b"\0")))

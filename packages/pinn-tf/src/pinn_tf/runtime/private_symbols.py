"""TensorFlow is loaded so that no other library of a process finds its C++ functions in place of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

__all__ = ["private_symbols"]

_MAKES_GLOBAL = "tensorflow.python.pywrap_dlopen_global_flags"


@contextmanager
def private_symbols() -> Iterator[None]:
    """A block that may load TensorFlow: its symbols stay its own.

    The wheels of TensorFlow 2.20 and 2.21 hold a module that is meant for builds in one piece, and that makes
    all symbols global. Triton, which PyTorch loads, then takes LLVM out of TensorFlow, and the process is
    aborted: whoever used both backends, this one first, would lose what he had not saved. TensorFlow itself
    goes without this module where it is not there, and leaves it out of later wheels:
    https://github.com/tensorflow/tensorflow/pull/124230.
    """
    if "tensorflow" in sys.modules or _MAKES_GLOBAL in sys.modules or not _has_its_own_library():
        yield
        return
    sys.modules[_MAKES_GLOBAL] = None  # type: ignore[assignment]  # an import of it is a ModuleNotFoundError
    try:
        yield
    finally:
        del sys.modules[_MAKES_GLOBAL]


def _has_its_own_library() -> bool:
    """Whether TensorFlow is not in one piece: then what extends it is linked to this library."""
    spec = find_spec("tensorflow")
    folders = [] if spec is None else spec.submodule_search_locations or []
    return any(next(Path(folder).glob("libtensorflow_framework*"), None) for folder in folders)

"""Pickles that leave a trace outside the folder of their case when anything unpickles them."""

from __future__ import annotations

import builtins
import os
import pickle
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["TRACE", "evil_object", "evil_pickle"]

TRACE = "../outside/owned"
"""What the payloads make; relative to the folder of the case, so that a case is the same bytes anywhere."""


class _Reduced:
    """Unpickling this calls `function`."""

    def __init__(self, function: Callable[..., Any], *arguments: Any):
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


_CALLS: tuple[tuple[Callable[..., Any], tuple[Any, ...]], ...] = (
    (os.mkdir, (TRACE,)),
    (os.system, (f"touch {TRACE}",)),
    (subprocess.call, (["touch", TRACE],)),
    (builtins.exec, (f"open({TRACE!r}, 'w').close()",)),
    (builtins.eval, (f"__import__('os').mkdir({TRACE!r})",)),
)


def evil_object(rng: np.random.Generator) -> Any:
    """An object whose unpickling runs code."""
    function, arguments = _CALLS[rng.integers(len(_CALLS))]
    return _Reduced(function, *arguments)


def evil_pickle(rng: np.random.Generator) -> bytes:
    """A pickle that runs code, in any protocol, alone or within what looks harmless."""
    value = evil_object(rng)
    if rng.random() < 0.5:
        value = {"models": ["autoencoder"], "version": "3.0", "backend": value}
    return pickle.dumps(value, protocol=int(rng.integers(0, 6)))

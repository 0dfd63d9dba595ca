"""PyTorch itself: present and new enough, or one sentence that says how to get it."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from pinn_torch.errors import TorchMissingError

__all__ = ["MINIMUM_TORCH", "require_torch"]

MINIMUM_TORCH = (2, 2)


def require_torch() -> ModuleType:
    """The module ``torch``.

    Raises
    ------
    TorchMissingError (a RuntimeError)
        PyTorch is not installed, broken, or older than 2.2; the message says what to install. Or a TensorFlow
        that was loaded before would make PyTorch abort the process.
    """
    _refuse_to_be_aborted()
    # Threads of libgomp spin at barriers before they sleep, by default so long that one other busy process on
    # the machine slows small batches down. It reads this when torch is loaded; who set it keeps it.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        import torch

        version_given = torch.__version__
    # OSError: a shared library of it is missing; AttributeError: its folder is there without its files.
    except (ImportError, OSError, AttributeError) as error:
        raise TorchMissingError(
            "PyTorch backend selected, but PyTorch cannot be imported "
            f"({error}): install it with `pip install torch>=2.2`"
        ) from error
    if _numbers(version_given) < MINIMUM_TORCH:
        raise TorchMissingError(
            f"PyTorch backend selected, but PyTorch {version_given} is too old: install a "
            "newer one with `pip install torch>=2.2`"
        )
    return torch


def _refuse_to_be_aborted() -> None:
    # Triton since 3.7 and the wheels of TensorFlow 2.20 and 2.21 each hold an LLVM. If TensorFlow came first
    # and its symbols are global, which this module of it brings about, Triton finds those and aborts:
    # https://github.com/tensorflow/tensorflow/issues/124205. Our TensorFlow backend keeps them private.
    if sys.modules.get("tensorflow.python.pywrap_dlopen_global_flags") is None or "triton" in sys.modules:
        return
    try:
        triton = version("triton")
    except PackageNotFoundError:
        return
    if _numbers(triton) >= (3, 7):
        raise TorchMissingError(
            "PyTorch backend selected, but this process has already loaded TensorFlow, and PyTorch's "
            f"package Triton {triton} would abort it: `import torch, triton` before tensorflow, or use one "
            "process for each"
        )


def _numbers(of: str) -> tuple[int, ...]:
    """Major and minor version."""
    return tuple(
        int("".join(c for c in part if c.isdigit()) or 0) for part in of.split("+")[0].split(".")[:2]
    )

"""PyTorch itself: present and new enough, or one sentence that says how to get it."""

from __future__ import annotations

import os
from types import ModuleType

from pinn_torch.errors import TorchMissingError

__all__ = ["MINIMUM_TORCH", "require_torch"]

MINIMUM_TORCH = (2, 2)


def require_torch() -> ModuleType:
    """The module ``torch``.

    Raises
    ------
    TorchMissingError (a RuntimeError)
        PyTorch is not installed, or older than 2.2; the message says what to install.
    """
    # Threads of libgomp spin at barriers before they sleep, by default so long that one other busy process on
    # the machine slows small batches down. It reads this when torch is loaded; who set it keeps it.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library of it is missing
        raise TorchMissingError(
            "PyTorch backend selected, but PyTorch cannot be imported "
            f"({error}): install it with `pip install torch>=2.2`"
        ) from error
    version = tuple(
        int("".join(c for c in part if c.isdigit()) or 0)
        for part in torch.__version__.split("+")[0].split(".")[:2]
    )
    if version < MINIMUM_TORCH:
        raise TorchMissingError(
            f"PyTorch backend selected, but PyTorch {torch.__version__} is too old: install a "
            "newer one with `pip install torch>=2.2`"
        )
    return torch

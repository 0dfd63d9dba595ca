"""torch.compile: code made for one network on one machine."""

from __future__ import annotations

import os
import shutil
import warnings
from importlib.util import find_spec

import torch
from torch import nn

from pinn_torch.errors import TorchRunError

__all__ = ["compile_network"]


def compile_network(network: nn.Module, device: torch.device) -> None:
    """Has the network compiled at its first call, and anew where the shape of what it is given changes.

    Names and values of its parameters stay what they are. Optics work on complex numbers, for which
    torch.compile makes no code: those parts run as before, so a network of many gradient steps gains nothing
    (docs/speed.md).

    Raises
    ------
    TorchRunError
        This machine lacks what makes the code: a C++ compiler, or Triton for a GPU.
    """
    if device.type == "cuda" and find_spec("triton") is None:
        raise TorchRunError(
            "compile=True was given, but Triton, which makes code for the GPU, is not installed: "
            "`pip install triton`, or leave compile at False"
        )
    named = os.environ.get("CXX")
    if device.type != "cuda" and not any(map(shutil.which, [named] if named else ["g++", "clang++", "cl"])):
        raise TorchRunError(
            f"compile=True was given, but there is no C++ compiler ({named or 'g++, clang++'}) here: "
            "install one, or leave compile at False"
        )
    warnings.filterwarnings("ignore", message="Torchinductor does not support code generation for complex")
    network.compile()

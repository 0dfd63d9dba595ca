"""torch.compile: code made for one network on one machine."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import torch
from torch import nn

from pinn_torch.errors import RunError

__all__ = ["compile_network", "compiled"]

# Whose exceptions say that no code could be made.
_MAKERS = ("torch._dynamo", "torch._inductor", "triton")


@contextmanager
def compiled(network: nn.Module, device: torch.device, wanted: bool) -> Iterator[None]:
    """A block in which the network runs compiled, if that is wanted; afterwards it runs as before.

    Raises
    ------
    RunError
        This machine lacks what makes the code, or the code could not be made.
    """
    if not wanted:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Torchinductor does not support code generation for")
        compile_network(network, device)
        try:
            yield
        except Exception as error:
            if not type(error).__module__.startswith(_MAKERS):
                raise
            # The first paragraph: what failed, and in older versions of PyTorch why on the line after.
            reason = " ".join(str(error).strip().split("\n\n")[0].split()) or "no reason given"
            raise RunError(
                f"compile=True was given, but the network cannot be compiled here ({reason[:200]}): fix the "
                "compiler (it also needs the Python headers), or leave compile at False"
            ) from error
        finally:
            network._compiled_call_impl = None


def compile_network(network: nn.Module, device: torch.device) -> None:
    """Has the network compiled at its first call, and anew where the shape of what it is given changes.

    Names and values of its parameters stay what they are. Optics work on complex numbers, for which
    torch.compile makes no code: those parts run as before, so a network of many gradient steps gains nothing
    (docs/speed.md).

    Raises
    ------
    RunError
        This machine lacks what makes the code: a C++ compiler, Triton for a GPU, or a PyTorch that makes any
        with this Python.
    """
    if device.type == "cuda" and find_spec("triton") is None:
        raise RunError(
            "compile=True was given, but Triton, which compiles for the GPU, is not installed: `pip "
            "install triton`, or leave compile at False"
        )
    named = os.environ.get("CXX")
    if device.type != "cuda" and not any(map(shutil.which, [named] if named else ["g++", "clang++", "cl"])):
        raise RunError(
            f"compile=True was given, but there is no C++ compiler ({named or 'g++, clang++'}) here: "
            "install one, or leave compile at False"
        )
    try:
        network.compile()
    except RuntimeError as error:  # "Dynamo is not supported on Python 3.12+"
        raise RunError(
            f"compile=True was given, but PyTorch {torch.__version__} cannot compile here ({error}): "
            "install a newer PyTorch, or leave compile at False"
        ) from error

"""Where arithmetic runs, and in which precision."""

from __future__ import annotations

import ctypes
import inspect
import platform
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from pinn_config.execution import Precision

from pinn_torch.errors import RunError

__all__ = [
    "autocast",
    "device_of",
    "prepare_cpu",
    "resolved_precision",
    "same_arithmetic_afterwards",
    "seen_devices",
]

# malloc.h of glibc; the threshold cannot be larger than 32 MiB.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_KEPT_BLOCK, _KEPT_BYTES = 32 << 20, 1 << 30


def device_of(accelerator: str) -> torch.device:
    """The device of an accelerator's name; 'auto' takes a GPU where there is one.

    Raises RunError for one that this machine does not have.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if accelerator == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    if (
        accelerator == "cpu"
        or (accelerator in ("gpu", "cuda") and cuda)
        or (accelerator in ("gpu", "mps") and mps)
    ):
        return torch.device({"gpu": "cuda" if cuda else "mps"}.get(accelerator, accelerator))
    raise RunError(
        f"accelerator={accelerator!r} was requested, but this machine has none: choose 'cpu' or 'auto'"
    )


def seen_devices() -> list[dict[str, Any]]:
    """See `pinn_torch.workflows.seen_devices`."""
    found: list[dict[str, Any]] = [
        {"kind": "cpu", "name": platform.machine() or "CPU", "threads": torch.get_num_threads()}
    ]
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(number)
        name = torch.cuda.get_device_name(number)
        found.append({"kind": "cuda", "name": name, "memory_bytes": total, "free_bytes": free})
    if torch.backends.mps.is_available():
        found.append({"kind": "mps", "name": "Metal"})
    return found


def resolved_precision(device: torch.device, precision: Precision) -> Precision:
    """The precision itself; for 'auto' bf16-mixed where the device multiplies bfloat16 in hardware, else
    32-true.

    Raises RunError for 16-mixed on a CPU with a PyTorch that would compute in float32 in its place.
    """
    if precision == "16-mixed" and device.type == "cpu" and not _has_half_on_cpu():
        raise RunError(
            f"precision='16-mixed' was given, but PyTorch {torch.__version__} has no float16 on "
            "a CPU: choose 'bf16-mixed' or '32-true', or a newer PyTorch"
        )
    if precision != "auto":
        return precision
    if device.type == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False) if _tells_emulation() else False
    else:
        # Older versions of PyTorch do not tell; without the instructions bfloat16 is slower than float32.
        probes = (
            getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        )
        has = device.type == "cpu" and any(probe() for probe in probes if probe is not None)
    return "bf16-mixed" if has else "32-true"


def _has_half_on_cpu() -> bool:
    a = torch.ones((2, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where it has not, it warns and computes in float32
        with torch.autocast("cpu", dtype=torch.float16):
            product = a @ a
    try:
        torch.nn.functional.interpolate(product[None, None], scale_factor=2)
    except RuntimeError:  # PyTorch 2.2 multiplies in float16 and does not upsample
        return False
    return product.dtype == torch.float16


def _tells_emulation() -> bool:
    return "including_emulation" in inspect.signature(torch.cuda.is_bf16_supported).parameters


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """Convolutions in the precision of an execution config; everything else stays float32."""
    kinds = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
    return torch.autocast(device.type, dtype=kinds[precision]) if precision in kinds else nullcontext()


def prepare_cpu() -> None:
    """Make this process fast on a CPU; the numbers stay what they are but for the tiniest, which become 0.

    Numbers too small for a normal float slow convolutions down up to a hundredfold and carry nothing. And
    glibc gives every large block back to the kernel when it is freed, so that each new tensor costs a page
    fault for every 4 KiB; kept, that time is saved (docs/training.md).
    """
    torch.set_flush_denormal(True)
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BLOCK)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


@contextmanager
def same_arithmetic_afterwards() -> Iterator[None]:
    """What `prepare_cpu` does to the tiniest numbers ends with the block: the caller's own arithmetic,
    NumPy's too, runs on the same processor."""
    flushed_before = float(torch.tensor([1e-40]) * 1) == 0
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed_before)

"""Where arithmetic runs, and in which precision."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import tensorflow as tf
from pinn_config.execution import Precision

from pinn_tf.errors import RunError

__all__ = ["CPU", "GPU", "device_of", "network_precision", "on_device", "resolved_precision", "seen_devices"]

CPU, GPU = "CPU:0", "GPU:0"

_NETWORK_PRECISIONS = {"32-true": "float32", "bf16-mixed": "mixed_bfloat16", "16-mixed": "mixed_float16"}
_CPU_INFO = Path("/proc/cpuinfo")
_FIRST_WITH_BFLOAT16 = (8, 0)  # compute capability of NVIDIA's Ampere


def device_of(accelerator: str) -> str:
    """The device of an accelerator's name, `CPU` or `GPU`: the first one that TensorFlow sees. 'auto' takes a
    GPU where there is one.

    Raises RunError for one that TensorFlow does not see on this machine.
    """
    seen = bool(tf.config.list_physical_devices("GPU"))
    if accelerator == "cpu" or (accelerator == "auto" and not seen):
        return CPU
    # A Mac has GPUs through Metal, any other machine through CUDA or ROCm.
    kind = "mps" if platform.system() == "Darwin" else "cuda"
    if seen and accelerator in ("auto", "gpu", kind):
        return GPU
    raise RunError(
        f"accelerator={accelerator!r} was requested, but TensorFlow sees none on this machine: choose 'cpu' "
        "or 'auto'"
    )


def seen_devices() -> list[dict[str, Any]]:
    """See `pinn_tf.workflows.seen_devices`. TensorFlow does not tell how much memory a GPU has."""
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    found: list[dict[str, Any]] = [{"kind": "cpu", "name": platform.machine() or "CPU", "threads": threads}]
    for device in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        name = details.get("device_name", device.name)
        found.append({"kind": "mps" if platform.system() == "Darwin" else "cuda", "name": name})
    return found


@contextmanager
def on_device(device: str | None) -> Iterator[None]:
    """A block whose variables and functions are on `device`; None: where TensorFlow puts them."""
    with tf.device(f"/{device}") if device is not None else nullcontext():
        yield


def resolved_precision(device: str, precision: Precision) -> Precision:
    """The precision itself; for 'auto' bf16-mixed where the device multiplies bfloat16 in hardware, else
    32-true."""
    if precision != "auto":
        return precision
    has = _gpu_has_bfloat16() if device == GPU else _cpu_has_bfloat16()
    return "bf16-mixed" if has else "32-true"


def network_precision(precision: str) -> str:
    """The name in `pinn_tf.model.network.PRECISIONS` of a precision that `resolved_precision` gave."""
    return _NETWORK_PRECISIONS[precision]


def _gpu_has_bfloat16() -> bool:
    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    return details.get("compute_capability", (0, 0)) >= _FIRST_WITH_BFLOAT16


def _cpu_has_bfloat16() -> bool:
    # Without the instructions bfloat16 is slower than float32. TensorFlow does not tell, Linux does.
    try:
        flags = _CPU_INFO.read_text().split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags

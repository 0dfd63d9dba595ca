"""The solver's array operations by TensorFlow, run one by one.

See :class:`pinn_data.solver.operations.ArrayOperations`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pinn_tf.runtime.devices import CPU

__all__ = ["TensorFlowOperations"]

_CPU_BLOCK_BYTES = 1 << 21
_GPU_BLOCK_BYTES = 1 << 27
_CPU_KEPT_BYTES = 1 << 28
_GPU_KEPT_BYTES = 1 << 32  # TensorFlow does not tell how much memory a GPU has


class TensorFlowOperations:
    """The solver's operations on one device, in one process.

    device : as `pinn_tf.runtime.devices` names it
    double : float64 in place of float32
    """

    name = "tensorflow"
    share = (0, 1)

    def __init__(self, device: str = CPU, *, double: bool = False) -> None:
        self.device = device
        self.real = np.dtype(np.float64 if double else np.float32)
        self.complex = np.dtype(np.complex128 if double else np.complex64)
        self.block_bytes, self.kept_bytes = (
            (_CPU_BLOCK_BYTES, _CPU_KEPT_BYTES) if device == CPU else (_GPU_BLOCK_BYTES, _GPU_KEPT_BYTES)
        )

    def asarray(self, values: Any) -> Any:
        dtype = self.complex if np.dtype(_numpy_dtype(values)).kind == "c" else self.real
        with tf.device(f"/{self.device}"):  # what is computed stays where its arrays are
            if tf.is_tensor(values):
                return tf.cast(values, dtype)
            return tf.constant(np.asarray(values, dtype))

    def numpy(self, array: Any) -> NDArray[Any]:
        return np.asarray(array)

    def fft2(self, array: Any) -> Any:
        return tf.signal.fft2d(array)

    def ifft2(self, array: Any) -> Any:
        return tf.signal.ifft2d(array) * float(array.shape[-1] * array.shape[-2])

    def abs2(self, array: Any) -> Any:
        return tf.square(tf.math.real(array)) + tf.square(tf.math.imag(array))

    def conj(self, array: Any) -> Any:
        return tf.math.conj(array)

    def real_product(self, a: Any, b: Any) -> Any:
        return tf.math.real(a) * tf.math.real(b) + tf.math.imag(a) * tf.math.imag(b)

    def scale(self, array: Any, by: Any) -> Any:
        return array * tf.cast(by, array.dtype)

    def sqrt(self, array: Any) -> Any:
        return tf.sqrt(array)

    def log(self, array: Any) -> Any:
        return tf.math.log(array)

    def maximum(self, array: Any, least: float) -> Any:
        return tf.maximum(array, tf.constant(least, array.dtype))

    def sum(self, array: Any, axes: Sequence[int]) -> Any:
        if all(array.shape[axis] == 1 for axis in axes):  # one mode: no pass over the numbers
            return tf.squeeze(array, axes)
        return tf.reduce_sum(array, axes)

    def roll(self, array: Any, shift: int, axis: int) -> Any:
        return tf.roll(array, shift, axis)

    def take(self, array: Any, numbers: NDArray[np.int64]) -> Any:
        return tf.gather(array, numbers)

    def extract(self, canvas: Any, corners: NDArray[np.int64], size: int) -> Any:
        return tf.gather(tf.reshape(canvas, [-1]), _pixels(corners, size, canvas.shape[1]))

    def empty_sum(self, shape: tuple[int, int]) -> Any:
        with tf.device(f"/{self.device}"):
            return tf.zeros(shape, self.complex)

    def place(self, total: Any, patches: Any, corners: NDArray[np.int64]) -> Any:
        pixels = _pixels(corners, patches.shape[-1], total.shape[1])
        # For complex64 on a CPU a scatter_nd takes six to nine times as long.
        added = tf.math.unsorted_segment_sum(
            tf.reshape(patches, [-1]), pixels.reshape(-1), total.shape[0] * total.shape[1]
        )
        return total + tf.reshape(added, total.shape)

    def reduce(self, array: Any) -> Any:
        return array


def _numpy_dtype(values: Any) -> Any:
    return values.dtype.as_numpy_dtype if tf.is_tensor(values) else np.asarray(values).dtype


def _pixels(corners: NDArray[np.int64], size: int, columns: int) -> NDArray[np.int32]:
    """Where the pixels (b, size, size) of patches lie in a flattened canvas."""
    steps = np.arange(size, dtype=np.int32)
    first = (corners[:, 0] * columns + corners[:, 1]).astype(np.int32)
    return first[:, None, None] + (steps[:, None] * np.int32(columns) + steps)

"""The array operations that the solver is written in, and NumPy's spelling of them.

The recipe is written once, over arrays of any framework: besides the functions of :class:`ArrayOperations`
it uses only ``+ - * /`` of arrays of one kind (real or complex) and of numbers, and indexing with slices and
None, which NumPy, PyTorch and TensorFlow share.
Nothing is changed in place, but for the sums of `place`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import fft

__all__ = ["Array", "ArrayOperations", "NumpyOperations"]

Array = Any
"""An array of the engine's framework, on its device."""


class ArrayOperations(Protocol):
    """What an engine provides.

    name : 'numpy', 'pytorch' or 'tensorflow'
    real, complex : NumPy dtypes of the engine's arrays, float32 and complex64, or float64 and complex128
    block_bytes : bytes that the exit waves of one block of frames may take
    kept_bytes : bytes that the amplitudes of all frames at one level may take, to be read from the scan once
    share : (rank, processes) where several processes share a scan's frames, else (0, 1)
    """

    name: str
    real: np.dtype[Any]
    complex: np.dtype[Any]
    block_bytes: int
    kept_bytes: int
    share: tuple[int, int]

    def asarray(self, values: Any) -> Array:
        """NumPy numbers as an array of the engine, in its precision (whole numbers and flags become real)."""
        ...

    def numpy(self, array: Array) -> NDArray[Any]:
        """An array of the engine as NumPy's."""
        ...

    def fft2(self, array: Array) -> Array:
        """Fourier transform over the last two axes, zero frequency at [0, 0]: sums without a factor, which
        costs a pass over the numbers."""
        ...

    def ifft2(self, array: Array) -> Array:
        """The adjoint of `fft2`, also without a factor: both in turn multiply by the number of pixels."""
        ...

    def abs2(self, array: Array) -> Array:
        """``|z|**2``, real."""
        ...

    def conj(self, array: Array) -> Array:
        """The complex conjugate."""
        ...

    def real_product(self, a: Array, b: Array) -> Array:
        """``Re(conj(a) * b)``, real."""
        ...

    def scale(self, array: Array, by: Array) -> Array:
        """A complex array times a real one."""
        ...

    def sqrt(self, array: Array) -> Array:
        """The square root of real numbers >= 0."""
        ...

    def log(self, array: Array) -> Array:
        """The natural logarithm of real numbers > 0."""
        ...

    def maximum(self, array: Array, least: float) -> Array:
        """The larger of each real number and `least`."""
        ...

    def sum(self, array: Array, axes: Sequence[int]) -> Array:
        """The sum over some axes, which go."""
        ...

    def roll(self, array: Array, shift: int, axis: int) -> Array:
        """Moved along an axis, what leaves at one end coming back at the other."""
        ...

    def take(self, array: Array, numbers: NDArray[np.int64]) -> Array:
        """Some of the arrays along the first axis, by their numbers."""
        ...

    def extract(self, canvas: Array, corners: NDArray[np.int64], size: int) -> Array:
        """Patches (b, size, size) of a canvas, from their first pixels (b, 2)."""
        ...

    def empty_sum(self, shape: tuple[int, int]) -> Any:
        """A canvas of zeros for `place`."""
        ...

    def place(self, total: Any, patches: Array, corners: NDArray[np.int64]) -> Any:
        """`total` with patches (b, size, size) added, the adjoint of `extract`; `total` may be changed."""
        ...

    def reduce(self, array: Array) -> Array:
        """The sum over all processes that share the scan, of an array of the engine or of NumPy; of one
        process the array itself."""
        ...


class NumpyOperations:
    """The solver's operations by NumPy and SciPy.

    double : float64 in place of float32
    """

    name = "numpy"
    block_bytes = 1 << 19  # a block's arrays stay inside the cache
    kept_bytes = 1 << 28
    share = (0, 1)

    def __init__(self, *, double: bool = False) -> None:
        self.real: np.dtype[Any] = np.dtype(np.float64 if double else np.float32)
        self.complex: np.dtype[Any] = np.dtype(np.complex128 if double else np.complex64)

    def asarray(self, values: Any) -> Array:
        array = np.asarray(values)
        return array.astype(self.complex if array.dtype.kind == "c" else self.real, copy=False)

    def numpy(self, array: Array) -> NDArray[Any]:
        return np.asarray(array)

    def fft2(self, array: Array) -> Array:
        return fft.fft2(array, norm="backward")

    def ifft2(self, array: Array) -> Array:
        return fft.ifft2(array, norm="forward")

    def abs2(self, array: Array) -> Array:
        return array.real**2 + array.imag**2

    def conj(self, array: Array) -> Array:
        return np.conj(array)

    def real_product(self, a: Array, b: Array) -> Array:
        return a.real * b.real + a.imag * b.imag

    def scale(self, array: Array, by: Array) -> Array:
        return array * by

    def sqrt(self, array: Array) -> Array:
        return np.sqrt(array)

    def log(self, array: Array) -> Array:
        return np.log(array)

    def maximum(self, array: Array, least: float) -> Array:
        return np.maximum(array, least)

    def sum(self, array: Array, axes: Sequence[int]) -> Array:
        if all(array.shape[axis] == 1 for axis in axes):  # one mode: no pass over the numbers
            return np.squeeze(array, tuple(axes))
        return array.sum(axis=tuple(axes))

    def roll(self, array: Array, shift: int, axis: int) -> Array:
        return np.roll(array, shift, axis)

    def take(self, array: Array, numbers: NDArray[np.int64]) -> Array:
        return array[numbers]

    def extract(self, canvas: Array, corners: NDArray[np.int64], size: int) -> Array:
        patches = np.empty((len(corners), size, size), canvas.dtype)
        for i, (row, column) in enumerate(corners.tolist()):
            patches[i] = canvas[row : row + size, column : column + size]
        return patches

    def empty_sum(self, shape: tuple[int, int]) -> NDArray[Any]:
        return np.zeros(shape, self.complex)

    def place(self, total: Any, patches: Array, corners: NDArray[np.int64]) -> Any:
        size = patches.shape[-1]
        for (row, column), patch in zip(corners.tolist(), patches, strict=True):
            total[row : row + size, column : column + size] += patch
        return total

    def reduce(self, array: Array) -> Array:
        return array

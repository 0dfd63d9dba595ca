"""Images of the members of groups as an array that is made when it is looked at.

A group of C frames is C numbers; the images behind them would be copied once for each membership, which for
20,000 groups of four patterns of 128 x 128 is 5 GB. `GroupedImages` has the shape of those copies and what an
array has besides, and makes the part that is asked for.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["GroupedImages"]

_BLOCK_BYTES = 1 << 24

Images = Callable[[NDArray[np.int64]], NDArray]


# No class of attrs: TensorFlow takes those apart into their fields wherever it takes a tensor.
@dataclasses.dataclass(frozen=True, eq=False)
class GroupedImages(np.lib.mixins.NDArrayOperatorsMixin):
    """(group, N, N, C): ``self[b, :, :, c] == factor * images(rows[b, [c]])[0]``.

    rows : (group, C) int64, frame numbers
    N : pixels along one side of an image
    dtype : of the images
    images : (n,) frame numbers to (n, N, N) images
    factor : real; ``factor * images`` has the images' dtype

    ``self[3]``, ``self[10:20]`` and ``self[[4, 1]]`` are arrays of those groups and hold nothing else;
    ``self * 2.5``, `select` and `mapped` make nothing yet. Any other arithmetic, function or method of an
    array (``numpy.mean(self)``, ``self.max()``, ``self + 1``) makes the whole array first.
    """

    rows: NDArray[np.int64]
    N: int
    dtype: np.dtype
    images: Images
    factor: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", np.dtype(self.dtype))

    # NumPy asks this array's class before others when both stand in one expression.
    __array_priority__ = 1.0

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(group, N, N, C)"""
        groups, channels = self.rows.shape
        return groups, self.N, self.N, channels

    @property
    def ndim(self) -> int:
        """Always 4."""
        return 4

    @property
    def size(self) -> int:
        """Numbers in the whole array."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the whole array would take."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[NDArray]:
        return (self[b] for b in range(len(self)))

    def select(self, which: slice | NDArray) -> GroupedImages:
        """Some of the groups, still not made."""
        return dataclasses.replace(self, rows=self.rows[which])

    def mapped(self, function: Callable[[NDArray], NDArray], dtype: DTypeLike) -> GroupedImages:
        """``function`` of every image (of many at once), still not made."""
        return GroupedImages(self.rows, self.N, np.dtype(dtype), lambda frames: function(self.of(frames)))

    def of(self, frames: NDArray[np.int64]) -> NDArray:
        """(n, N, N) images of these frames, multiplied with the factor."""
        images = np.asarray(self.images(frames), self.dtype)
        return images if self.factor == 1 else images * images.real.dtype.type(self.factor)

    def numpy(self) -> NDArray:
        """The whole array."""
        return self._made(self.rows)

    def __getitem__(self, key: Any) -> NDArray:
        first, *others = key if isinstance(key, tuple) else (key,)
        if first is Ellipsis or first is None:
            return self.numpy()[key]
        if isinstance(first, numbers.Integral):
            made = self._made(self.rows[int(first)][None])[0]
            return made[tuple(others)]
        return self._made(self.rows[first])[(slice(None), *others)]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray:
        if copy is False:
            raise ValueError(
                "these images are computed on access, so an array of them is always a copy: do not pass "
                "copy=False"
            )
        made = self.numpy()
        return made if dtype is None else made.astype(dtype, copy=False)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if ufunc is np.multiply and method == "__call__" and not options and self.dtype.kind in "fc":
            other = inputs[1] if inputs[0] is self else inputs[0]
            if isinstance(other, numbers.Real) and not isinstance(other, bool):
                return dataclasses.replace(self, factor=self.factor * float(other))
        made = [np.asarray(value) if isinstance(value, GroupedImages) else value for value in inputs]
        return getattr(ufunc, method)(*made, **options)

    def __pow__(self, exponent: Any) -> Any:
        # `array ** 2` is a square, which NumPy 1 rounds otherwise than `numpy.power`.
        return self.numpy() ** exponent

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(np.ndarray, name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.numpy(), name)

    def _made(self, rows: NDArray[np.int64]) -> NDArray:
        """(group, N, N, C) of these rows."""
        groups, channels = rows.shape
        array = np.empty((groups, self.N, self.N, channels), self.dtype)
        step = max(1, _BLOCK_BYTES // max(1, array[:1].nbytes))
        for start in range(0, groups, step):
            block = rows[start : start + step]
            images = self.of(block.reshape(-1)).reshape(*block.shape, self.N, self.N)
            array[start : start + step] = np.moveaxis(images, 1, -1)
        return array

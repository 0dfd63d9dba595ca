"""A single array in an NPY file that nobody vouches for: mapped, never unpickled."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pinn_config.quoting import one_line

from pinn_data.errors import DataFormatError

__all__ = ["is_npy", "mapped_npy"]

SIGNATURE = b"\x93NUMPY"


def is_npy(path: Path) -> bool:
    """Whether the file begins as an NPY file does."""
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


def mapped_npy(path: Path) -> NDArray[Any]:
    """The array, read from the file as it is used; what its header declares is compared with the size of the
    file, and nothing is read yet.

    Raises DataFormatError (foreign, truncated, damaged, pickled).
    """
    try:
        with np.errstate(over="ignore"):  # numpy looks at the size again
            found: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # numpy parses the header as a Python literal: anything may come
        reason = one_line(error) or type(error).__name__
        raise DataFormatError(f"{path} is a damaged NPY file ({reason}): copy or save it again") from error
    count = math.prod(found.shape)  # `size` wraps around
    if found.dtype.itemsize == 0 and count > 1:  # a copy of it would have a byte for each
        raise DataFormatError(f"{path} declares {count} values of size zero: save the file again")
    return found

"""The solver's array operations by PyTorch: on a CPU in one process or several, on a GPU.

See :class:`pinn_data.solver.operations.ArrayOperations`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from pinn_torch.distributed.ranks import Team
from pinn_torch.errors import RunError

__all__ = ["TorchOperations", "has_complex_numbers"]

_CPU_BLOCK_BYTES = 1 << 21  # a call costs more than NumPy's
_GPU_BLOCK_BYTES = 1 << 28  # enough work for each kernel; a block has about ten such arrays
_CPU_KEPT_BYTES = 1 << 28
_GPU_KEPT_SHARE = 0.4


class TorchOperations:
    """The solver's operations on one device.

    device : a torch device; on a Mac's GPU only float32
    double : float64 in place of float32

    Where a process group of ``torch.distributed`` is there, its processes share the frames of a scan.

    Raises RunError where the device lacks the complex numbers that the solver needs.
    """

    name = "pytorch"

    def __init__(self, device: torch.device | str = "cpu", *, double: bool = False) -> None:
        self.device = torch.device(device)
        self.real = np.dtype(np.float64 if double else np.float32)
        self.complex = np.dtype(np.complex128 if double else np.complex64)
        self._real = torch.float64 if double else torch.float32
        self._complex = torch.complex128 if double else torch.complex64
        self.on_gpu = self.device.type != "cpu"
        self.block_bytes = _GPU_BLOCK_BYTES if self.on_gpu else _CPU_BLOCK_BYTES
        self.kept_bytes = _kept_bytes(self.device)
        together = dist.is_available() and dist.is_initialized()
        self._team = Team(dist.get_rank(), dist.get_world_size()) if together else Team()
        self.share = (self._team.rank, self._team.size)
        if self.device.type == "mps" and (double or not has_complex_numbers(self.device)):
            raise RunError(
                "the solver was requested on 'mps', where PyTorch has no float64 and, in older versions, "
                "no complex numbers: choose 'cpu'"
            )

    def asarray(self, values: Any) -> Tensor:
        tensor = values if isinstance(values, Tensor) else torch.from_numpy(_owned(values))
        return tensor.to(self.device, self._complex if tensor.is_complex() else self._real)

    def numpy(self, array: Tensor) -> NDArray[Any]:
        return array.resolve_conj().cpu().numpy()

    def fft2(self, array: Tensor) -> Tensor:
        return torch.fft.fft2(array, norm="backward")

    def ifft2(self, array: Tensor) -> Tensor:
        return torch.fft.ifft2(array, norm="forward")

    def abs2(self, array: Tensor) -> Tensor:
        return self.real_product(array, array)

    def conj(self, array: Tensor) -> Tensor:
        return array.conj()

    def real_product(self, a: Tensor, b: Tensor) -> Tensor:
        # One pass over complex numbers is faster than four over their strided parts.
        return (a.conj() * b).real

    def scale(self, array: Tensor, by: Tensor) -> Tensor:
        return array * by

    def sqrt(self, array: Tensor) -> Tensor:
        return array.sqrt()

    def log(self, array: Tensor) -> Tensor:
        return array.log()

    def maximum(self, array: Tensor, least: float) -> Tensor:
        return array.clamp_min(least)

    def sum(self, array: Tensor, axes: Sequence[int]) -> Tensor:
        if all(array.shape[axis] == 1 for axis in axes):  # one mode: no pass over the numbers
            return array.squeeze(tuple(axes))
        return array.sum(tuple(axes))

    def roll(self, array: Tensor, shift: int, axis: int) -> Tensor:
        return array.roll(shift, axis)

    def take(self, array: Tensor, numbers: NDArray[np.int64]) -> Tensor:
        if self.on_gpu:
            return array[torch.from_numpy(numbers).to(self.device)]
        return torch.from_numpy(array.numpy()[numbers])

    def extract(self, canvas: Tensor, corners: NDArray[np.int64], size: int) -> Tensor:
        if self.on_gpu:
            return canvas.reshape(-1)[self._pixels(corners, size, canvas.shape[1])]
        whole = canvas.numpy()  # slices through NumPy cost less than an index for each pixel
        patches = np.empty((len(corners), size, size), whole.dtype)
        for i, (row, column) in enumerate(corners.tolist()):
            patches[i] = whole[row : row + size, column : column + size]
        return torch.from_numpy(patches)

    def empty_sum(self, shape: tuple[int, int]) -> Tensor:
        return torch.zeros(shape, dtype=self._complex, device=self.device)

    def place(self, total: Tensor, patches: Tensor, corners: NDArray[np.int64]) -> Tensor:
        size = patches.shape[-1]
        if self.on_gpu:
            pixels = self._pixels(corners, size, total.shape[1]).flatten()
            parts = torch.view_as_real(patches.resolve_conj()).reshape(-1, 2)
            torch.view_as_real(total).view(-1, 2).index_add_(0, pixels, parts)
            return total
        whole = total.numpy()
        for (row, column), patch in zip(corners.tolist(), self.numpy(patches), strict=True):
            whole[row : row + size, column : column + size] += patch
        return total

    def reduce(self, array: Any) -> Any:
        if self._team.size == 1:
            return array
        if isinstance(array, np.ndarray):
            return self.numpy(self._team.sum(torch.from_numpy(array.copy())))
        return self._team.sum(array.resolve_conj().clone(memory_format=torch.contiguous_format))

    def _pixels(self, corners: NDArray[np.int64], size: int, columns: int) -> Tensor:
        """Where the pixels (b, size, size) of patches lie in a flattened canvas."""
        first = torch.from_numpy(corners[:, 0] * columns + corners[:, 1]).to(self.device)
        steps = torch.arange(size, device=self.device)
        return first[:, None, None] + (steps[:, None] * columns + steps)


def _owned(values: Any) -> NDArray[Any]:
    """As torch takes it: writable, in native byte order, of a dtype that it has."""
    array = np.ascontiguousarray(values)
    if not array.dtype.isnative or array.dtype.kind == "u":
        array = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    return array if array.flags.writeable else array.copy()


def _kept_bytes(device: torch.device) -> int:
    if device.type != "cuda":
        return _CPU_KEPT_BYTES
    free, _ = torch.cuda.mem_get_info(device)
    return int(_GPU_KEPT_SHARE * free)


def has_complex_numbers(device: torch.device) -> bool:
    """Whether this PyTorch does on a Mac's GPU what the solver needs."""
    try:
        z = torch.fft.fft2(torch.ones((2, 2), dtype=torch.complex64, device=device)).roll(1, 0)
        total = torch.zeros_like(z)
        torch.view_as_real(total).view(-1, 2).index_add_(
            0, torch.arange(4, device=device), torch.view_as_real(z).reshape(-1, 2)
        )
        return bool(((z.conj() * total).real.sum() == 16).cpu())
    except (RuntimeError, TypeError, NotImplementedError):
        return False

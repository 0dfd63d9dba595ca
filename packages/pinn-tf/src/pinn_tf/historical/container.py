"""Groups of a scan as a client's program carries them from grouping to a network.

Images are made when they are looked at (`pinn_data.grouping.grouped_images.GroupedImages`): a container of
20,000 groups takes the memory of their numbers, and what is read of it that of this part. NumPy takes
everything that a container holds as arrays, and TensorFlow as tensors; what is a tensor from the start loads
TensorFlow.

Source: the specification, section 4.3; facts of the public implementation, ``loader.py``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray
from pinn_config import legacy
from pinn_data.errors import ShapeError
from pinn_data.files.atomic_write import atomic_write
from pinn_data.files.npz_archive import NpzWriter
from pinn_data.grouping.grouped_images import GroupedImages
from pinn_data.grouping.raw_data import RawData
from pinn_data.optics.probe import probe_modes
from pinn_data.scan.diffraction import intensity_scale
from pinn_data.stitching.reassembly import PositionsOnObject

from pinn_tf.errors import RunError
from pinn_tf.model.group_batches import group_batches
from pinn_tf.runtime.requirements import require_tensorflow

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["PtychoDataContainer"]

Images = NDArray | GroupedImages

_BLOCK = 64  # groups that are written at once


def _images(value: Any) -> Images:
    return value if isinstance(value, GroupedImages) else np.asarray(value)


def _probe(value: ArrayLike) -> NDArray[np.complex64]:
    return np.asarray(value, np.complex64)


def _offsets(value: ArrayLike) -> NDArray[np.float32]:
    """As float32, which is what the models take; positions on an object stay such."""
    array = np.asanyarray(value)
    if array.dtype == np.float32:
        return array
    if isinstance(array, PositionsOnObject):
        return PositionsOnObject(array.astype(np.float32), array.object_shape)
    return array.astype(np.float32)


@attrs.frozen(eq=False)
class PtychoDataContainer:
    """B groups of C patterns of N x N pixels, with where they lie and what is known of their object.

    ==================================  ===========  =========================================================
    attribute                           shape        what
    ==================================  ===========  =========================================================
    ``X``                               (B,N,N,C)    float32 amplitude with mean energy (N/2)**2 a pattern
    ``Y_I``, ``Y_phi``                  (B,N,N,C)    float32 amplitude and phase (rad) of the object under it
    ``Y``                               (B,N,N,C)    complex64, both of them; ones where no object is known
    ``norm_Y_I``                        number       sqrt(photons) / (N/2) of the configuration
    ``YY_full``                         (H,W)        the scan's object, or None
    ``coords_true``, ``coords``         (B,1,2,C)    float32 tensor, minus the distance of each position from
                                                     the mean of its group, as (x, y)
    ``coords_nominal``                  (B,1,2,C)    the same of where the stage was sent
    ``nn_indices``                      (B,C)        int64 frame numbers
    ``global_offsets``                  (B,1,2,1)    float32 mean of a group's positions, object pixels (x, y)
    ``local_offsets``                   (B,1,2,C)    float32, what ``coords_true`` holds
    ``probe``                           ([mode,]N,N) complex64 tensor
    ``probeGuess``                      ([mode,]N,N) complex64
    ==================================  ===========  =========================================================

    Each converts to a tensor of this shape and type wherever TensorFlow takes one, images only then:
    ``tf.convert_to_tensor``, operations, models, ``tf.function``, ``tf.data``, which wants all of it at once
    (`as_tf_dataset` does not).

    ``[X * intensity_scale, local_offsets]`` is what ``model.predict`` takes, and its result and
    ``global_offsets`` are what `pinn_data.stitching.reassembly.reassemble_position` takes.

    Raises ShapeError (a ValueError) where these do not fit together.
    """

    X: Images = attrs.field(converter=_images, repr=False)
    Y_I: Images = attrs.field(converter=_images, repr=False)
    Y_phi: Images = attrs.field(converter=_images, repr=False)
    norm_Y_I: float = attrs.field(converter=float)
    YY_full: NDArray[np.complex64] | None = attrs.field(repr=False)
    _coords_nominal: NDArray[np.float32] = attrs.field(converter=_offsets, repr=False)
    _coords_true: NDArray[np.float32] = attrs.field(converter=_offsets, repr=False)
    nn_indices: NDArray[np.int64] = attrs.field(converter=np.asarray, repr=False)
    global_offsets: NDArray[np.float32] = attrs.field(converter=_offsets, repr=False)
    local_offsets: NDArray[np.float32] = attrs.field(converter=_offsets, repr=False)
    probeGuess: NDArray[np.complex64] = attrs.field(converter=_probe, repr=False)

    def __attrs_post_init__(self) -> None:
        shape = self.X.shape
        if len(shape) != 4 or shape[1] != shape[2] or 0 in shape:
            raise ShapeError(f"X has shape {shape}, but (group, N, N, C) is needed: one pattern per channel")
        B, N, _, C = shape
        needed = {
            "Y_I": (B, N, N, C),
            "Y_phi": (B, N, N, C),
            "coords_nominal": (B, 1, 2, C),
            "coords_true": (B, 1, 2, C),
            "nn_indices": (B, C),
            "global_offsets": (B, 1, 2, 1),
            "local_offsets": (B, 1, 2, C),
        }
        held = {"coords_nominal": self._coords_nominal, "coords_true": self._coords_true}
        for name, wanted in needed.items():
            found = held[name].shape if name in held else getattr(self, name).shape
            if found != wanted:
                raise ShapeError(
                    f"{name} has shape {found}, but {wanted} belongs to the {B} groups of {C} patterns of "
                    f"{N} x {N} in X: give all of it for the same groups"
                )
        if probe_modes(self.probeGuess).shape[-1] != N:
            raise ShapeError(
                f"the probe has shape {self.probeGuess.shape}, but the patterns are {N} x {N}: give the "
                "probe of these patterns"
            )

    @classmethod
    def from_grouped(cls, grouped: dict[str, Any], probeGuess: ArrayLike) -> PtychoDataContainer:
        """The container of a dictionary as `RawData.generate_grouped_data` makes it.

        Raises RunError (a ValueError) for a dictionary without what is needed, and ShapeError.
        """
        for name in ("X_full", "coords_offsets", "coords_relative", "nn_indices"):
            if name not in grouped:
                raise RunError(
                    f"the grouped data have no {name!r}: give what RawData.generate_grouped_data returned"
                )
        X, truth, whole = _images(grouped["X_full"]), grouped.get("Y"), grouped.get("objectGuess")
        amplitude: Images
        phase: Images
        if truth is None:
            # One number each, in every place.
            amplitude, phase = (np.broadcast_to(np.float32(value), X.shape) for value in (1, 0))
        elif isinstance(truth, GroupedImages):
            amplitude, phase = truth.mapped(np.abs, np.float32), truth.mapped(np.angle, np.float32)
        else:
            amplitude = np.abs(np.asarray(truth)).astype(np.float32)
            phase = np.angle(np.asarray(truth)).astype(np.float32)
        relative = grouped["coords_relative"]
        return cls(
            X,
            amplitude,
            phase,
            intensity_scale(legacy.get("nphotons"), X.shape[1]),
            whole,
            grouped.get("coords_start_relative", relative),
            relative,
            grouped["nn_indices"],
            PositionsOnObject(grouped["coords_offsets"], None if whole is None else np.shape(whole)),
            grouped.get("local_offsets", relative),
            probeGuess,
        )

    @classmethod
    def from_raw_data_without_pc(
        cls,
        xcoords: ArrayLike,
        ycoords: ArrayLike,
        diff3d: ArrayLike,
        probeGuess: ArrayLike,
        scan_index: ArrayLike | None = None,
        objectGuess: ArrayLike | None = None,
        N: int | None = None,
        K: int | None = 7,
        nsamples: int = 1,
    ) -> PtychoDataContainer:
        """Groups of a scan whose stage was sent to the positions themselves.

        N : by default that of the patterns; the others as in `RawData.generate_grouped_data`, and what that
            raises
        """
        raw = RawData.from_coords_without_pc(xcoords, ycoords, diff3d, probeGuess, scan_index, objectGuess)
        grouped = raw.generate_grouped_data(raw.scan.N if N is None else N, K, nsamples)
        return cls.from_grouped(grouped, raw.probeGuess)

    def __len__(self) -> int:
        return len(self.X)

    @property
    def Y(self) -> Images:
        """(B,N,N,C) complex64: ``Y_I * exp(1j * Y_phi)``."""
        amplitude, phase = self.Y_I, self.Y_phi
        if (
            not isinstance(amplitude, GroupedImages)
            or not isinstance(phase, GroupedImages)
            or not np.array_equal(amplitude.rows, phase.rows)
        ):
            return np.asarray(amplitude) * np.exp(1j * np.asarray(phase)).astype(np.complex64)

        def images(frames: NDArray[np.int64]) -> NDArray[np.complex64]:
            return amplitude.of(frames) * np.exp(1j * phase.of(frames)).astype(np.complex64)

        return GroupedImages(amplitude.rows, amplitude.N, np.dtype(np.complex64), images)

    @property
    def coords_nominal(self) -> tf.Tensor:
        """(B,1,2,C) float32."""
        return _tensor(self._coords_nominal, "float32")

    @property
    def coords_true(self) -> tf.Tensor:
        """(B,1,2,C) float32."""
        return _tensor(self._coords_true, "float32")

    @property
    def coords(self) -> tf.Tensor:
        """`coords_true`: what was measured serves training and reconstruction alike."""
        return self.coords_true

    @property
    def probe(self) -> tf.Tensor:
        """([mode,] N, N) complex64."""
        return _tensor(self.probeGuess, "complex64")

    def select(self, which: slice | NDArray) -> PtychoDataContainer:
        """Some of the groups: a slice, a mask (B,) or group numbers."""

        def part(value: Images) -> Images:
            return value.select(which) if isinstance(value, GroupedImages) else value[which]

        return attrs.evolve(
            self,
            X=part(self.X),
            Y_I=part(self.Y_I),
            Y_phi=part(self.Y_phi),
            coords_nominal=self._coords_nominal[which],
            coords_true=self._coords_true[which],
            nn_indices=self.nn_indices[which],
            global_offsets=self.global_offsets[which],
            local_offsets=self.local_offsets[which],
        )

    def as_tf_dataset(
        self, batch_size: int, shuffle: bool = True, *, scale: float = 1.0, seed: int | None = 0
    ) -> tf.data.Dataset:
        """Batches of what the models take, made one by one: ``{'input': scale * X, 'input_positions': ...}``.

        batch_size : groups of a batch; the last one may have fewer
        shuffle : another order in every pass, the same passes for the same seed

        Raises RunError for a batch of no groups.
        """
        if batch_size < 1:
            raise RunError(f"batch_size={batch_size} was given, but it must be at least 1")
        generator = np.random.default_rng(seed)
        return group_batches(
            self.X * np.float32(scale),
            self.local_offsets,
            batch_size,
            (lambda: generator.permutation(len(self))) if shuffle else None,
        )

    def to_npz(self, path: str | os.PathLike[str]) -> Path:
        """Write all of it under the names of the attributes, whole or not at all; the path.

        ``YY_full`` is left out where it is None. Images are written in blocks.

        Raises DataWriteError (an OSError).
        """
        arrays: dict[str, Images] = {name: getattr(self, name) for name in ("X", "Y_I", "Y_phi")}
        arrays["norm_Y_I"] = np.array(self.norm_Y_I)
        if self.YY_full is not None:
            arrays["YY_full"] = np.asarray(self.YY_full)
        arrays |= {"coords_nominal": self._coords_nominal, "coords_true": self._coords_true}
        arrays |= {name: getattr(self, name) for name in ("nn_indices", "global_offsets", "local_offsets")}
        arrays["probe"] = self.probeGuess
        target = Path(path)
        with atomic_write(target) as temporary, NpzWriter(temporary) as file:
            for name, array in arrays.items():
                blocks: Iterable[NDArray]
                if array.ndim:
                    blocks = (array[i : i + _BLOCK] for i in range(0, len(array), _BLOCK))
                else:
                    blocks = [np.asarray(array)]
                file.write_blocks(name, array.shape, array.dtype, blocks)
        return target


def _tensor(array: NDArray, dtype: str) -> tf.Tensor:
    return require_tensorflow().convert_to_tensor(array, dtype=dtype)

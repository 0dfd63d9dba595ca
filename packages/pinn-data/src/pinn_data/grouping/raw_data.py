"""A scan with the names and calls of the historical `RawData`, and everything that may stand for a scan.

Programs for PtychoPINN pass scans as `RawData`; new code passes :class:`pinn_data.scan.scan.Scan`. Source:
the specification, sections 4.3 and 4.5.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray
from pinn_config import legacy

from pinn_data.errors import DataTypeError, PinnDataError, ShapeError, naming
from pinn_data.files.npz import read_scan, write_scan
from pinn_data.grouping.grouped_images import GroupedImages
from pinn_data.grouping.groups import group, grouped_dict
from pinn_data.scan.diffraction import check_stack_shape, detect_unit
from pinn_data.scan.measured_pixels import as_bad_pixels, check_fit
from pinn_data.scan.positions import reoriented
from pinn_data.scan.scan import Scan
from pinn_data.scan.stored_patterns import LARGE
from pinn_data.scan.unmeasured import measured_part

__all__ = ["RawData", "load_data", "scan_of"]

_OPTIONAL = ("scan_index", "objectGuess", "metadata", "bad_pixels", "background")

_LOG = logging.getLogger(__name__)


class RawData:
    """A scan under its historical attributes.

    ==================================  ====================  ===============================================
    attribute                           shape                 what
    ==================================  ====================  ===============================================
    ``xcoords``, ``ycoords``            (n,)                  patch centres, object pixels
    ``xcoords_start``, ``ycoords_...``  (n,)                  where the stage was sent
    ``diff3d``                          (n, N, N)             patterns as they were given
    ``probeGuess``                      ([modes,] N, N)       complex64
    ``scan_index``                      (n,)                  int64
    ``objectGuess``                     (H, W) or None        complex64
    ``Y``                               (n, N, N) or None     truth patches of each frame, complex64
    ``norm_Y_I``, ``metadata``                                handed through
    ``sample_indices``                  (n,) or None          frames of the file, where some were drawn
    ``scan``                                                  all of it as a `Scan`
    ==================================  ====================  ===============================================

    What `diff3d` holds follows :func:`pinn_data.scan.diffraction.detect_unit`: whole numbers are counts.
    Markers in it (:mod:`pinn_data.scan.unmeasured`) are bad pixels, besides those of `bad_pixels`.

    Raises ShapeError, PositionError, DataRangeError and their kin (all a `PinnDataError`) where the parts do
    not fit together.
    """

    scan: Scan
    Y: NDArray[np.complex64] | None
    norm_Y_I: Any
    sample_indices: NDArray[np.int64] | None
    subsample_seed: int | None

    def __init__(
        self,
        xcoords: ArrayLike,
        ycoords: ArrayLike,
        xcoords_start: ArrayLike,
        ycoords_start: ArrayLike,
        diff3d: ArrayLike,
        probeGuess: ArrayLike,
        scan_index: ArrayLike | None = None,
        objectGuess: ArrayLike | None = None,
        Y: ArrayLike | None = None,
        norm_Y_I: Any = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        bad_pixels: ArrayLike | None = None,
        background: ArrayLike | None = None,
    ) -> None:
        given = np.asarray(diff3d)
        check_stack_shape(given.shape)
        known = as_bad_pixels(bad_pixels)
        check_fit(known, None, given.shape)
        found = measured_part(given, known, drop_empty=False, owned=False)
        stack = found.stack
        for sentence in found.said:
            _LOG.warning("%s", sentence)
        optional: dict[str, Any] = {} if scan_index is None else {"scan_index": scan_index}
        self._set(
            Scan(
                diffraction=stack,
                unit=detect_unit(stack, probe=probeGuess),
                positions=_pair(xcoords, ycoords),
                positions_start=_pair(xcoords_start, ycoords_start),
                probe=probeGuess,
                object=objectGuess,
                metadata=metadata or {},
                bad_pixels=found.bad_pixels,
                background=background,
                **optional,
            )
        )
        self.norm_Y_I = norm_Y_I
        if Y is not None:
            truth = np.asarray(Y)
            truth = truth[..., 0] if truth.ndim == 4 and truth.shape[-1] == 1 else truth
            if truth.shape != stack.shape:
                raise ShapeError(
                    f"Y has shape {truth.shape}, but one truth patch for each pattern, {stack.shape}, is "
                    "needed: fix it or leave it out"
                )
            self.Y = truth.astype(np.complex64)

    def _set(self, scan: Scan) -> None:
        self.scan = scan
        self.Y = self.norm_Y_I = None
        self.sample_indices = self.subsample_seed = None

    @classmethod
    def from_scan(cls, scan: Scan) -> RawData:
        """The same scan; nothing is copied."""
        made = cls.__new__(cls)
        made._set(scan)
        return made

    @classmethod
    def from_coords_without_pc(
        cls,
        xcoords: ArrayLike,
        ycoords: ArrayLike,
        diff3d: ArrayLike,
        probeGuess: ArrayLike,
        scan_index: ArrayLike | None = None,
        objectGuess: ArrayLike | None = None,
    ) -> RawData:
        """A scan whose stage was sent to the positions themselves ("without position correction")."""
        return cls(xcoords, ycoords, xcoords, ycoords, diff3d, probeGuess, scan_index, objectGuess)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> RawData:
        """The scan in an NPZ file; raises what :func:`pinn_data.files.npz.read_scan` raises."""
        return cls.from_scan(read_scan(path))

    @classmethod
    def from_files(
        cls, train_path: str | os.PathLike[str], test_path: str | os.PathLike[str]
    ) -> tuple[RawData, RawData]:
        """Training and test scan."""
        return cls.from_file(train_path), cls.from_file(test_path)

    def to_file(self, path: str | os.PathLike[str], *, unit: str = "amplitude") -> Path:
        """Write the scan as NPZ with its patterns under ``diff3d``, see
        :func:`pinn_data.files.npz.write_scan`.

        unit : what others take ``diff3d`` for, who do not read the label, is amplitude

        Raises PinnDataError where `Y` is set: the file format has no place for it.
        """
        if self.Y is not None:
            raise PinnDataError(
                "the NPZ format cannot store the truth patches Y: set Y to None, and keep the whole object "
                "as objectGuess"
            )
        return write_scan(path, self.scan, unit=unit)

    xcoords = property(lambda self: self.scan.positions[:, 1])
    ycoords = property(lambda self: self.scan.positions[:, 0])
    xcoords_start = property(lambda self: self.scan.positions_start[:, 1])
    ycoords_start = property(lambda self: self.scan.positions_start[:, 0])
    diff3d = property(lambda self: self.scan.diffraction)
    probeGuess = property(lambda self: self.scan.probe)
    scan_index = property(lambda self: self.scan.scan_index)
    objectGuess = property(lambda self: self.scan.object)
    bad_pixels = property(lambda self: self.scan.bad_pixels)
    background = property(lambda self: self.scan.background)
    metadata = property(lambda self: self.scan.metadata)

    def __len__(self) -> int:
        return len(self.scan)

    def __repr__(self) -> str:
        return f"RawData({self.scan!r})"

    def generate_grouped_data(
        self,
        N: int,
        K: int | None = None,
        nsamples: int = 1,
        dataset_path: str | os.PathLike[str] | None = None,
        seed: int | None = 0,
        sequential_sampling: bool | None = None,
        gridsize: int | None = None,
        enable_oversampling: bool | None = None,
        neighbor_pool_size: int | None = None,
    ) -> dict[str, Any]:
        """Groups of neighbouring frames as the dictionary of :func:`pinn_data.grouping.groups.grouped_dict`.

        What is None is what the bridged configuration (`pinn_config.legacy`) says; its rule about neighbours
        (``neighbor_function``, ``min_neighbor_distance``, ``max_neighbor_distance``, ``scan_pattern``) holds
        too.

        Parameters
        ----------
        N : pixels along one side of the patterns, to be sure that model and scan belong together
        K : members lie within the K nearest of a group's first; at least ``gridsize**2 - 1`` are used
        nsamples : the number of groups; more than there are frames draws anchors several times (not at
            gridsize 1, where a group is a frame)
        dataset_path : names the data in messages
        seed : the same seed gives the same groups; None draws fresh entropy
        sequential_sampling : the first `nsamples` frames anchor, instead of random ones
        enable_oversampling : False refuses more groups than frames at gridsize 2 and more
        neighbor_pool_size : takes the place of K where there are more groups than frames

        Returns
        -------
        dict
            With ``sample_indices`` besides, where the frames were drawn from a file.

        Raises
        ------
        PinnDataError (a ValueError), and its kin
            N is not that of the patterns, too few frames, settings out of range.
        """
        if dataset_path is not None:
            with naming(dataset_path):
                return self.generate_grouped_data(
                    N,
                    K,
                    nsamples,
                    seed=seed,
                    sequential_sampling=sequential_sampling,
                    gridsize=gridsize,
                    enable_oversampling=enable_oversampling,
                    neighbor_pool_size=neighbor_pool_size,
                )
        scan = self.scan
        if N != scan.N:
            raise ShapeError(
                f"N={N} was given, but the patterns are {scan.N} x {scan.N}: set N={scan.N}, or crop the "
                "patterns"
            )
        side = legacy.get("gridsize") if gridsize is None else gridsize
        many = nsamples > len(scan) and side > 1
        if many and enable_oversampling is False:
            raise PinnDataError(
                f"{nsamples} groups of {len(scan)} frames were requested, but enable_oversampling is False: "
                f"set it to True, or ask for {len(scan)} groups at most"
            )
        wanted = legacy.get("neighbor_count", 4) if K is None else K
        if many and neighbor_pool_size is not None:
            wanted = neighbor_pool_size
        needed = side**2 - 1
        if wanted < needed:
            _LOG.info("K=%d is too few for gridsize %d: %d neighbours are used", wanted, side, needed)
        groups = group(
            scan.positions,
            side,
            n_groups=nsamples,
            neighbor_count=max(wanted, needed),
            seed=seed,
            sequential=legacy.get("sequential_sampling", False)
            if sequential_sampling is None
            else sequential_sampling,
            neighbor_function=legacy.get("neighbor_function", "Nearest"),
            min_neighbor_distance=legacy.get("min_neighbor_distance", 0.0),
            max_neighbor_distance=legacy.get("max_neighbor_distance", None),
            scan_pattern=legacy.get("scan_pattern", "Isotropic"),
        )
        grouped = grouped_dict(scan, groups, truth=self.Y is None)
        if self.Y is not None:
            grouped["Y"] = GroupedImages(groups.indices, scan.N, np.dtype(np.complex64), self.Y.__getitem__)
        if self.sample_indices is not None:
            grouped["sample_indices"] = self.sample_indices
        return grouped


def scan_of(data: Any, what: str = "the data") -> Scan:
    """The scan that `data` is: a `Scan`, a `RawData`, the path of an NPZ file, or an object with the
    attributes of a `RawData` (``xcoords``, ``ycoords``, ``diff3d``, ``probeGuess``; ``scan_index``,
    ``objectGuess``, ``bad_pixels`` and ``background`` if it has them).

    what : names it in messages

    Raises DataTypeError (a TypeError) for anything else, and what reading and checking a scan raise.
    """
    if isinstance(data, Scan):
        return data
    if isinstance(data, RawData):
        return data.scan
    if isinstance(data, (str, os.PathLike)):
        return read_scan(data, in_file_above=LARGE)
    if not all(hasattr(data, name) for name in ("xcoords", "ycoords", "diff3d", "probeGuess")):
        raise DataTypeError(
            f"{what} is a {type(data).__name__}, but a Scan, a RawData or the path of an NPZ file is needed: "
            "read the file with pinn_data.files.npz.read_scan"
        )
    given = {name: getattr(data, name, None) for name in _OPTIONAL}
    start_x, start_y = getattr(data, "xcoords_start", None), getattr(data, "ycoords_start", None)
    if start_x is None or start_y is None:
        start_x, start_y = data.xcoords, data.ycoords
    return RawData(
        data.xcoords,
        data.ycoords,
        start_x,
        start_y,
        data.diff3d,
        data.probeGuess,
        **given,
    ).scan


def load_data(
    file_path: str | os.PathLike[str],
    n_images: int | None = None,
    n_subsample: int | None = None,
    flip_x: bool = False,
    flip_y: bool = False,
    swap_xy: bool = False,
    *,
    coord_scale: float = 1.0,
    subsample_seed: int | None = 0,
) -> RawData:
    """The scan in an NPZ file, or `n_subsample` of its frames, drawn at random and in the order of the file.

    n_images : deprecated name of `n_subsample`
    flip_x, flip_y, swap_xy, coord_scale : see :func:`pinn_data.scan.positions.reoriented`
    subsample_seed : the same seed draws the same frames; None draws fresh entropy

    ``sample_indices`` of the result tells which frames were drawn.

    Raises PinnDataError where `n_images` and `n_subsample` differ, and what reading raises.
    """
    if n_images is not None:
        warnings.warn(
            "Parameter 'n_images' is deprecated: give 'n_subsample' instead.",
            DeprecationWarning,
            stacklevel=2,
        )
        if n_subsample not in (None, n_images):
            raise PinnDataError(
                f"n_images ({n_images}) and n_subsample ({n_subsample}) differ: n_images is the deprecated "
                "name of n_subsample, so give n_subsample only"
            )
        n_subsample = n_images
    scan = read_scan(file_path)
    drawn = None
    if n_subsample is not None:
        drawn = scan.subsample(n_subsample, subsample_seed)
        scan = scan.select(drawn)

    def turned(positions: NDArray[np.float64]) -> NDArray[np.float64]:
        return reoriented(positions, flip_x=flip_x, flip_y=flip_y, transpose=swap_xy, scale=coord_scale)

    data = RawData.from_scan(
        attrs.evolve(
            scan,
            positions=turned(scan.positions),
            positions_start=turned(scan.positions_start),
        )
    )
    data.sample_indices = drawn
    data.subsample_seed = subsample_seed if drawn is not None else None
    return data


def _pair(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Positions (n, 2) as (y, x)."""
    columns, rows = np.asarray(x), np.asarray(y)
    if columns.ndim != 1 or columns.shape != rows.shape:
        raise ShapeError(
            f"xcoords and ycoords have shapes {columns.shape} and {rows.shape}, but one number per frame, "
            "(frames,), is needed in both: check which is right"
        )
    return np.stack([rows, columns], axis=1)

"""Which kinds of files there are, how each is recognised, and who describes it.

A new kind is a row in :data:`KINDS`, before those that would take its files for theirs. Recognising looks at
the first bytes and at the names in a ZIP or HDF5 file; nothing is executed, and only the description reads
the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import attrs

from pinn_dispatch.errors import UsageError
from pinn_dispatch.info.description import Description

__all__ = ["KINDS", "Kind", "Signs", "describe"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ARCHIVE_FILES = ("wts.h5.zip", "manifest.json", "manifest.dill")
_RECONSTRUCTION_FILES = ("reconstruction.npz", "reconstruction.h5")


@attrs.frozen
class Signs:
    """What a kind is recognised by.

    start : the first eight bytes of a file
    entries : names in a ZIP file; None: it is no ZIP file, or a damaged one
    """

    path: Path
    is_folder: bool
    start: bytes
    entries: frozenset[str] | None

    @classmethod
    def of(cls, path: Path) -> Signs:
        """Raises UsageError where there is nothing; OSError where it cannot be read."""
        if path.is_dir():
            return cls(path, True, b"", None)
        if not path.exists():
            raise UsageError(f"{path} does not exist: check the path")
        if not path.is_file():  # opening a pipe would wait for its other end
            raise UsageError(f"{path} is not a regular file: give a file or the folder of a run")
        with path.open("rb") as file:
            start = file.read(8)
        return cls(path, False, start, _entries(path) if start.startswith(b"PK") else None)

    def holds(self, *names: str) -> bool:
        """Whether the folder has one of these files."""
        return self.is_folder and any((self.path / name).exists() for name in names)

    @property
    def is_zip(self) -> bool:
        return self.start.startswith(b"PK")

    @property
    def is_hdf5(self) -> bool:
        return self.start == _HDF5


@attrs.frozen
class Kind:
    """One kind of file.

    name : for a person
    fits : whether the signs are those of this kind
    describer : ``module:function`` that returns the :class:`Description` of a path; imported when needed
    """

    name: str
    fits: Callable[[Signs], bool]
    describer: str

    def describe(self, path: Path) -> Description:
        """Raises what the readers raise for a damaged file."""
        module, _, function = self.describer.partition(":")
        found: Description = getattr(import_module(module), function)(path)
        return found


def _is_archive(signs: Signs) -> bool:
    if signs.entries is not None:
        return bool(signs.entries & {"manifest.json", "manifest.dill"})
    return signs.is_zip and signs.path.suffix == ".zip"  # damaged: its reader says how


def _is_run(signs: Signs) -> bool:
    return signs.holds("wts.h5.zip", *_RECONSTRUCTION_FILES)


def _has(entry: str) -> Callable[[Signs], bool]:
    return lambda signs: signs.entries is not None and f"{entry}.npy" in signs.entries


def _is_bare_object(signs: Signs) -> bool:
    entries = signs.entries or frozenset()
    return "objectGuess.npy" in entries and not entries & {"xcoords.npy", "diff3d.npy", "diffraction.npy"}


def _is_measured(signs: Signs) -> bool:
    if not signs.is_hdf5:
        return False

    from pinn_dispatch.source_kinds import source_kind

    return source_kind(signs.path) != "product"


KINDS: tuple[Kind, ...] = (
    Kind("folder of a run", _is_run, "pinn_dispatch.info.run_description:describe_run"),
    Kind(
        "model archive, unpacked",
        lambda signs: signs.holds(*_ARCHIVE_FILES),
        "pinn_dispatch.info.archive_description:describe_archive",
    ),
    Kind("model archive", _is_archive, "pinn_dispatch.info.archive_description:describe_archive"),
    Kind(
        "CXI file, training data or patterns",
        _is_measured,
        "pinn_dispatch.info.measured_description:describe_measured",
    ),
    Kind(
        "ptychodus product",
        lambda signs: signs.is_hdf5,
        "pinn_dispatch.info.image_description:describe_product",
    ),
    Kind(
        "ptychodus product in NPZ",
        _has("probe_position_x_m"),
        "pinn_dispatch.info.image_description:describe_product",
    ),
    Kind(
        "reconstruction",
        _has("canvas_origin"),
        "pinn_dispatch.info.image_description:describe_reconstruction",
    ),
    Kind("object", _is_bare_object, "pinn_dispatch.info.image_description:describe_object"),
    Kind("scan", lambda signs: signs.is_zip, "pinn_dispatch.info.scan_description:describe_scan"),
)


def describe(path: Path) -> Description:
    """What is at `path`.

    Raises UsageError for something that no kind fits, and what the readers raise for a damaged file.
    """
    signs = Signs.of(path)
    for kind in KINDS:
        if kind.fits(signs):
            return kind.describe(path)
    if signs.is_folder:
        raise UsageError(
            f"the folder {path} holds neither a model ({_ARCHIVE_FILES[0]}) nor a reconstruction "
            f"({_RECONSTRUCTION_FILES[0]}): name a file in it, or the folder of a run"
        )
    raise UsageError(
        f"{path} is neither a scan or reconstruction (NPZ), nor an archive (wts.h5.zip), nor a product "
        "(HDF5): name one of these"
    )


def _entries(path: Path) -> frozenset[str] | None:
    from pinn_archive.foreign import names_in

    return names_in(path) or None  # damaged: the reader of its kind says how

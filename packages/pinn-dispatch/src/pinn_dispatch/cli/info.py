"""`pinn info`: what is in a file, in words."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pinn_dispatch.cli.report import Report
from pinn_dispatch.errors import UsageError

__all__ = ["add", "describe", "run"]


def add(commands: Any) -> argparse.ArgumentParser:
    """The flags of this command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "info",
        help="say what a scan, an archive, a reconstruction or a product holds",
        description="Describes NPZ scans, model archives (wts.h5.zip or their folder), reconstructions and "
        "ptychodus products.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="what to look at")
    return parser


def run(args: argparse.Namespace) -> None:
    """Describes each file."""
    report = Report(args.quiet)
    for number, path in enumerate(args.files):
        rows = describe(path)
        if number:
            print()
        report.result({"file": path, **rows})


def describe(path: Path) -> dict[str, object]:
    """What `path` holds: a name and a value a line.

    Raises UsageError for something else, and what the readers raise for a damaged file.
    """
    if path.is_dir():
        from pinn_dispatch.reconstruction import FILE_NAME

        has_archive = any((path / name).exists() for name in ("wts.h5.zip", "manifest.json", "manifest.dill"))
        if not has_archive and (path / FILE_NAME).exists():
            return _reconstruction(path / FILE_NAME)
        return _archive(path)
    if not path.exists():
        raise UsageError(f"there is nothing at {path}: check the path")
    with path.open("rb") as file:
        start = file.read(8)
    if start == b"\x89HDF\r\n\x1a\n":
        return _product(path)
    if not start.startswith(b"PK"):
        raise UsageError(
            f"{path} is neither a scan or reconstruction (NPZ), nor an archive (wts.h5.zip), nor a product "
            "(HDF5): name one of these"
        )
    entries = _entries(path)
    if entries & {"manifest.json", "manifest.dill"}:
        return _archive(path)
    return _reconstruction(path) if "canvas_origin.npy" in entries else _scan(path)


def _entries(path: Path) -> set[str]:
    """Names in a ZIP file; none if it is damaged: its reader says how."""
    import zipfile

    if not zipfile.is_zipfile(path):
        return {"manifest.json"} if path.suffix == ".zip" else set()
    with zipfile.ZipFile(path) as file:
        return set(file.namelist())


def _scan(path: Path) -> dict[str, object]:
    from pinn_data.npz import read_scan
    from pinn_data.probe import probe_modes
    from pinn_data.scan import canvas_for

    scan = read_scan(path)
    (y0, x0), (y1, x1) = scan.positions.min(axis=0), scan.positions.max(axis=0)
    canvas = canvas_for(scan.positions, scan.N)
    return {
        "kind": "scan",
        "patterns": f"{len(scan)} of {scan.N} x {scan.N} pixels, {scan.unit} ({scan.diffraction.dtype})",
        "photons": f"{scan.nphotons:.4g} a pattern",
        "positions": f"y {y0:.1f} to {y1:.1f}, x {x0:.1f} to {x1:.1f} pixels{_spacing(scan.positions)}",
        "canvas": f"{canvas.shape[0]} x {canvas.shape[1]} pixels hold every pattern",
        "probe": f"{len(probe_modes(scan.probe))} mode(s)",
        "object": "none"
        if scan.object is None
        else f"{scan.object.shape[0]} x {scan.object.shape[1]} pixels",
        **_texts(scan.metadata),
    }


def _spacing(positions: Any) -> str:
    import numpy as np
    from scipy.spatial import KDTree

    if len(positions) < 2:
        return ""
    distance = KDTree(positions).query(positions, k=2)[0][:, 1]
    return f", nearest neighbours {float(np.median(distance)):.1f} apart"


def _archive(path: Path) -> dict[str, object]:
    from pinn_archive import read_archive

    archive = read_archive(path)
    numbers = {name: sum(w.size for w in model.weights.values()) for name, model in archive.models.items()}
    return {
        "kind": f"model archive, format {archive.version}",
        "backend": archive.backend,
        "networks": ", ".join(f"{name} ({count:,} parameters)" for name, count in numbers.items()) or "none",
        **_texts(archive.params),
        **{name: f"array {array.shape}, {array.dtype}" for name, array in archive.arrays.items()},
        **_texts(archive.provenance),
    }


def _reconstruction(path: Path) -> dict[str, object]:
    from pinn_dispatch.reconstruction import read_reconstruction

    found = read_reconstruction(path)
    y, x = found.canvas.origin
    return {
        "kind": "reconstruction",
        "image": f"{found.object.shape[0]} x {found.object.shape[1]} pixels, its first at y {y}, x {x}",
        "covered": f"{100 * float((found.coverage > 0).mean()):.0f} % of the pixels, from "
        f"{len(found.positions)} patterns",
        **_texts(_in_short(found.metadata)),
    }


def _in_short(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata without the settings, which are fifty rows; the archive and metrics.json have them."""
    record = metadata.get("provenance", {})
    brief = {key: value for key, value in record.items() if key not in ("configuration", "seeds")}
    return {**metadata, "provenance": brief}


def _product(path: Path) -> dict[str, object]:
    from pinn_data.product import read_product

    product = read_product(path)
    layers, height, width = product.object.shape
    return {
        "kind": "ptychodus product",
        "name": product.name,
        "object": f"{layers} layer(s) of {height} x {width} pixels of {product.object_pixel_m[0] * 1e9:.4g} "
        "nm",
        "probe": f"{product.probe.shape[1]} mode(s) of {product.probe.shape[2]} x {product.probe.shape[3]} "
        "pixels",
        "positions": len(product.positions_m),
        "energy": f"{product.photon_energy_eV:.6g} eV",
        "distance": f"{product.detector_distance_m:.4g} m",
        "comments": product.comments or "none",
    }


def _texts(values: Any, before: str = "") -> dict[str, object]:
    """Plain values under their names, those of inner mappings under dotted ones."""
    rows: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            rows |= _texts(value, f"{before}{name}.")
        elif value is not None:
            text = str(value)
            rows[f"{before}{name}"] = text if len(text) <= 100 else text[:97] + "..."
    return rows

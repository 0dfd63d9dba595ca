"""Reconstructions, ptychodus products and bare objects, in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from pinn_data.errors import naming
from pinn_data.files.npz_archive import NpzReader
from pinn_data.files.product import Product
from pinn_data.files.product_npz import read_any_product
from pinn_data.run.pictures import flat_phase
from pinn_data.scan.refined import Refined
from pinn_data.scan.scan import checked_object

from pinn_dispatch.info.description import Description, Picture, words_of
from pinn_dispatch.info.scan_description import probe_picture, probe_words, span_words
from pinn_dispatch.provenance import Provenance, provenance_of
from pinn_dispatch.reconstruction import read_reconstruction

__all__ = ["describe_object", "describe_product", "describe_reconstruction"]

_TRACE = 0.04  # of the best-covered pixel: below it an image is mostly noise
# Metadata that the words about the provenance, the image or the positions say already.
_SAID = {
    *(
        "R",
        "residual",
        "patterns",
        "gridsize",
        "backend",
        "architecture",
        "N",
        "canvas_origin",
        "canvas_shape",
        "engine",
    ),
    *("seconds_total", "reconstruction_seconds", "seconds_network", "seconds_stitching", "seconds_residual"),
}


def describe_reconstruction(path: Path) -> Description:
    """A ``reconstruction.npz``; raises what `read_reconstruction` raises."""
    found = read_reconstruction(path)
    told = provenance_of(path)
    y, x = found.canvas.origin
    covered = float((found.coverage > 0).mean())
    words = {
        "image": f"{found.object.shape[0]} x {found.object.shape[1]} pixels, its first at y {y}, x {x}",
        "covered": f"{100 * covered:.0f} % of the pixels",
        "positions": span_words(found.positions),
        "probe": probe_words(found.probe),
        **_provenance(told),
        **_solver_words(found.refined, found.positions),
        **words_of(_in_short(found.metadata)),
    }
    facts = {
        "image_shape": found.object.shape,
        "canvas_origin": found.canvas.origin,
        "covered": covered,
        "positions": len(found.positions),
        "positions_low": found.positions.min(axis=0),
        "positions_high": found.positions.max(axis=0),
        **attrs.asdict(told),
        "metadata": dict(found.metadata),
        **_solver_facts(found.refined),
    }
    known = found.coverage > _TRACE * found.coverage.max()
    pictures = (
        *_image(found.object, known),
        probe_picture(found.probe),
        _positions(found.positions),
        *_solver_pictures(found.refined),
    )
    return Description(path, "reconstruction", words, facts, pictures)


def _in_short(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What is not said already, without the settings, which are fifty rows; the archive and metrics.json have
    them."""
    brief = {name: value for name, value in metadata.items() if name not in _SAID}
    record = metadata.get("provenance")
    if isinstance(record, Mapping):
        left_out = ("configuration", "seeds")
        brief["provenance"] = {key: value for key, value in record.items() if key not in left_out}
    return brief


def describe_product(path: Path) -> Description:
    """A ptychodus product, in HDF5 or NPZ; raises what `read_any_product` raises."""
    product = read_any_product(path)
    told = provenance_of(path)
    layers, height, width = product.object.shape
    pixel_y, pixel_x = (size * 1e9 for size in product.object_pixel_m)
    losses = product.loss_values
    words = {
        "name": product.name,
        "object": f"{layers} layer{'s' if layers > 1 else ''} of {height} x {width} pixels of {pixel_y:.4g} "
        f"x {pixel_x:.4g} nm, {height * pixel_y / 1e3:.4g} x {width * pixel_x / 1e3:.4g} um in total",
        "positions": span_words(product.positions_px()) + " from its corner",
        "probe": probe_words(product.probe[0]),
        "costs": "none"
        if not len(losses)
        else f"{len(losses)}, from {losses[0]:.4g} to {losses[-1]:.4g} (the lowest {losses.min():.4g})",
        "energy": f"{product.photon_energy_eV:.6g} eV",
        "distance": f"{product.detector_distance_m:.4g} m",
        "exposure": f"{product.exposure_time_s:.4g} s",
        "photons": f"{product.probe_photon_count:.4g} in the probe",
        **_provenance(told),
        **_solver_words(product.refined, product.positions_px()),
        "comments": product.comments or "none",
    }
    facts = {
        "name": product.name,
        "object_shape": product.object.shape,
        "object_pixel_m": product.object_pixel_m,
        "object_center_m": product.object_center_m,
        "probe_shape": product.probe.shape,
        "positions": len(product.positions_m),
        "photon_energy_eV": product.photon_energy_eV,
        "detector_distance_m": product.detector_distance_m,
        "exposure_time_s": product.exposure_time_s,
        "probe_photon_count": product.probe_photon_count,
        "tomography_angle_deg": product.tomography_angle_deg,
        "costs": losses,
        "comments": product.comments,
        **attrs.asdict(told),
        **_solver_facts(product.refined),
    }
    pictures = [
        *_image(product.object[0]),
        probe_picture(product.probe[0]),
        _positions(product.positions_px()),
    ]
    pictures += _solver_pictures(product.refined)
    if len(losses) > 1:
        pictures.append(Picture("costs", "curve", losses))
    return Description(path, "ptychodus product", words, facts, tuple(pictures))


def describe_object(path: Path) -> Description:
    """An NPZ file with an object and no scan; raises what `NpzReader` and `checked_object` raise."""
    with naming(path), NpzReader(path) as file:
        image = checked_object(file.read("objectGuess"))
        others = [name for name in file.keys if name != "objectGuess"]
    assert image is not None
    amplitude = np.abs(image)
    words = {
        "object": f"{image.shape[0]} x {image.shape[1]} pixels, amplitude {amplitude.min():.3g} to "
        f"{amplitude.max():.3g}",
        "other entries": ", ".join(others) or "none: there are no patterns",
    }
    return Description(
        path, "object without a scan", words, {"object_shape": image.shape, "besides": others}, _image(image)
    )


def _provenance(told: Provenance) -> dict[str, str]:
    seconds = None if told.seconds is None else f"{told.seconds:.1f} from the arrays to the image"
    network = ", ".join(
        part
        for part in (
            told.architecture,
            None if told.gridsize is None else f"gridsize {told.gridsize}",
            told.backend,
        )
        if part
    )
    rows = {
        "residual R": None if told.residual is None else f"{told.residual:.4f}",
        "network": network or None,
        "solver": told.engine,
        "seconds": seconds,
    }
    return {name: text for name, text in rows.items() if text is not None}


def _solver_words(refined: Refined | None, positions: Any) -> dict[str, str]:
    """What the solver found, and how it decided."""
    if refined is None:
        return {}
    moved = np.sqrt(np.square(positions - refined.positions_start).sum(axis=1))
    background, bad, bright = refined.background, refined.bad_pixels, refined.frame_intensity
    rms = float(np.sqrt(np.square(moved).mean()))
    odd = float((refined.frame_misfit > 2 * np.median(refined.frame_misfit)).mean())
    always = 0 if bad is None else int((bad if bad.ndim == 2 else bad.all(axis=0)).sum())
    noise = refined.facts.get("R_of_noise")
    rows = {
        "R of noise": f"{noise:.4f} (R of counting noise alone)"
        if isinstance(noise, float)
        else "not defined: the patterns are not counts",
        "moved": f"{rms:.2f} px rms, {moved.max():.2f} px at most" if moved.any() else "no position",
        "background": f"{background.mean():.4g} counts per pixel",
        "left out": f"{always} of {refined.pixel_misfit.size} pixels",
        "intensity": "all frames alike" if bright is None else f"varies by {100 * bright.std():.1f} %",
        "misfit": f"{np.median(refined.frame_misfit):.2f} times noise in the median frame; {100 * odd:.0f} % "
        "of the frames have more than twice that",
    }
    verdict = refined.facts.get("verdict")
    if isinstance(verdict, Mapping):
        rows = {"verdict": str(verdict.get("sentence"))} | rows
    told = refined.facts.get("sentences")
    return rows | {
        f"decided {k}": str(text) for k, text in enumerate(told if isinstance(told, list) else [], 1)
    }


def _solver_facts(refined: Refined | None) -> dict[str, Any]:
    return {} if refined is None else {"solver": {k: v for k, v in refined.facts.items() if k != "history"}}


def _solver_pictures(refined: Refined | None) -> list[Picture]:
    if refined is None:
        return []
    seen = np.isfinite(refined.pixel_misfit)
    return [Picture("misfit per pixel", "pattern", np.where(seen, refined.pixel_misfit, 0.0), "log10", seen)]


def _image(image: Any, known: Any = None) -> tuple[Picture, Picture]:
    seen = image != 0 if known is None else known
    return (
        Picture("phase", "phase", flat_phase(image, seen), "rad", seen),
        Picture("amplitude", "amplitude", np.abs(image), "a.u.", seen),
    )


def _near(product: Product) -> Any:
    """(row, column) bool: not further from the box of the positions than a quarter of the probe's side;
    beyond is mostly noise."""
    rim = product.probe.shape[-1] / 4
    low = product.positions_px().min(axis=0) - rim
    high = product.positions_px().max(axis=0) + rim
    y, x = (np.arange(size) for size in product.object.shape[-2:])
    return ((y >= low[0]) & (y <= high[0]))[:, None] & (x >= low[1]) & (x <= high[1])


def _positions(positions: Any) -> Picture:
    return Picture("positions", "positions", positions, "object pixels")

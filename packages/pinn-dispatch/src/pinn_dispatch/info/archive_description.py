"""A model archive in words. Nothing in it is executed: its reader compares digests and reads plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pinn_archive import Archive, read_archive, read_manifest
from pinn_config.configs import ModelConfig, TrainingConfig

from pinn_dispatch.info.description import Description, words_of
from pinn_dispatch.info.scan_description import probe_picture, probe_words

__all__ = ["describe_archive"]

# What the other rows say, or what is a place on the machine where it was trained.
_SAID = {
    *("N", "gridsize", "architecture", "model_type", "amp_activation", "backend"),
    *("output_dir", "train_data_file", "test_data_file", "n_groups"),
}
_VERSIONS = ("pinn-torch", "pinn-tf", "torch", "lightning", "tensorflow", "keras", "numpy", "python")
_TOLD = (
    *("training_data", "training_frames", "training_photons_per_frame", "training_seconds"),
    *("training_processes", "epochs", "steps", "seed"),
)


def describe_archive(path: Path) -> Description:
    """A ``wts.h5.zip``, or the folder that it was unpacked to; raises what `read_archive` raises."""
    archive = read_archive(path)
    entries = len(read_manifest(path).entries)
    numbers = {name: sum(w.size for w in model.weights.values()) for name, model in archive.models.items()}
    told, config = archive.provenance, _mapping(archive.params.get("config"))
    versions = ", ".join(f"{name} {told[name]}" for name in _VERSIONS if name in told)
    words = {
        "backend": f"{archive.backend} ({versions})" if versions else archive.backend,
        "verified": f"SHA-256 of {entries} entries; nothing in it was executed",
        "network": _network(archive),
        "networks": ", ".join(f"{name} ({count:,} parameters)" for name, count in numbers.items()) or "none",
        "trained on": _training(told),
        "settings": _settings(config) if config else "the historical ones",
    }
    if not config:
        words |= words_of(archive.params)
    probe = archive.arrays.get("probe")
    if probe is not None and probe.ndim in (2, 3):
        words["probe"] = probe_words(probe)
    words |= words_of({name: value for name, value in told.items() if name not in (*_VERSIONS, *_TOLD)})
    facts = {
        "format": archive.version,
        "backend": archive.backend,
        "entries_verified": entries,
        "parameters": numbers,
        "params": dict(archive.params),
        "arrays": {name: {"shape": a.shape, "dtype": str(a.dtype)} for name, a in archive.arrays.items()},
        "provenance": dict(told),
    }
    pictures = (probe_picture(probe),) if "probe" in words else ()
    return Description(path, f"model archive, format {archive.version}", words, facts, pictures)


def _network(archive: Archive) -> str:
    config = _mapping(archive.params.get("config"))
    model = _mapping(config.get("model")) if config else archive.params
    names = {
        "architecture": "",
        "N": "N ",
        "gridsize": "gridsize ",
        "model_type": "",
        "amp_activation": "amplitude by ",
    }
    known = [f"{text}{model[name]}" for name, text in names.items() if model.get(name) is not None]
    return ", ".join(known) or "not told"


def _training(told: Mapping[str, Any]) -> str:
    rows = {
        "training_data": "{}",
        "training_frames": "{} patterns",
        "training_photons_per_frame": "{:.4g} photons per pattern",
        "epochs": "{} epochs",
        "steps": "{} steps",
        "training_seconds": "{:.1f} s",
        "training_processes": "processes: {}",
        "seed": "seed {}",
    }
    known = [_formatted(form, told[name]) for name, form in rows.items() if told.get(name) is not None]
    return ", ".join(known) or "not told"


def _formatted(form: str, value: Any) -> str:
    try:
        return form.format(value)
    except (TypeError, ValueError):  # another program's archive may tell it as a text
        return str(value)


def _settings(config: Mapping[str, Any]) -> str:
    """Settings that are not the defaults."""
    odd = {}
    for cls, values in ((TrainingConfig, config), (ModelConfig, _mapping(config.get("model")))):
        for name, value in values.items():
            if name not in _SAID and name != "model" and getattr(cls, name, None) != value:
                odd[name] = value
    return ", ".join(f"{name}={value}" for name, value in odd.items()) or "the defaults"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

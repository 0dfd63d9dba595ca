"""Contents of archives to test with, and their equality."""

from __future__ import annotations

from typing import Any

import numpy as np
from pinn_archive import ModelPayload


def small_content(seed: int = 0) -> dict[str, Any]:
    """Keywords of `write_archive`: two models, one with a native payload, an asymmetric complex probe."""
    rng = np.random.default_rng(seed)
    weights = {
        "kernel": rng.standard_normal((3, 2)).astype(np.float32),
        "bias": rng.standard_normal(2).astype(np.float16),
        "steps": np.array(17 + seed),
    }
    return {
        "models": {
            "diffraction_to_obj": ModelPayload(weights, "model.ckpt", rng.bytes(40)),
            "autoencoder": ModelPayload({}),
        },
        "params": {
            "N": 8,
            "intensity_scale": 31.25 + seed,
            "label": "é",
            "none": None,
            "sizes": [1, 2.5, True],
        },
        "arrays": {"probe": rng.standard_normal((2, 3)) + 1j * rng.standard_normal((2, 3))},
        "backend": "pytorch",
        "provenance": {"epochs": 50, "data": {"name": "scan_3.npz"}},
    }


def same(left: Any, right: Any) -> bool:
    """Equality to the bit of nested dicts, payloads and arrays (NaN equals NaN of the same bits)."""
    if isinstance(left, np.ndarray):
        return (
            isinstance(right, np.ndarray)
            and left.shape == right.shape
            and left.dtype.newbyteorder("<") == right.dtype.newbyteorder("<")
            and left.astype(left.dtype.newbyteorder("<")).tobytes()
            == right.astype(right.dtype.newbyteorder("<")).tobytes()
        )
    if isinstance(left, ModelPayload):
        return (left.native_name, left.native) == (right.native_name, right.native) and same(
            left.weights, right.weights
        )
    if isinstance(left, dict):
        return set(left) == set(right) and all(same(left[key], right[key]) for key in left)
    return type(left) is type(right) and left == right

"""The description of the network 'cnn' run in NumPy, float64, layer by layer: every backend must agree.

It shares no code with a backend. One group at a time; channels first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pinn_config.architecture import Layer, Network
from scipy.signal import correlate2d
from scipy.special import expit

Array = NDArray[np.float64]

MERGE_FLOOR = 1e-3

_ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": expit,
    "swish": lambda x: x * expit(x),
    "softplus": lambda x: np.logaddexp(0, x),
    "pi_tanh": lambda x: math.pi * np.tanh(x),
}


def run(
    network: Network,
    weights: Mapping[str, NDArray],
    amplitude: Array,
    intensity: Array,
    corners: NDArray[np.int64],
    side: int,
    background: float,
) -> NDArray[np.complex128]:
    """The canvas (side, side) of one group.

    amplitude, intensity : (pattern, N, N), measured amplitude, and the probe's intensity relative to its
        brightest pixel
    corners : (pattern, 2), (row, column) of each patch's pixel (0, 0) on the canvas
    """
    values: dict[str, NDArray] = {"amplitude": np.asarray(amplitude, np.float64)}
    for layer in network.layers:
        x = [values[name] for name in layer.inputs]
        if layer.kind == "conv":
            values[layer.name] = _conv(layer, x[0], weights)
        elif layer.parameters():
            own = {key: np.asarray(weights[f"{layer.name}/{key}"], np.float64) for key in layer.parameters()}
            values[layer.name] = attend(layer, x[0], own)
        elif layer.kind == "merge":
            values[layer.name] = _merge(x[0], intensity, corners, side, background)
        else:
            values[layer.name] = _fixed(layer, x)
    return values[network.layers[-1].name]


def _conv(layer: Layer, x: Array, weights: Mapping[str, NDArray]) -> Array:
    kernel = np.asarray(weights[f"{layer.name}/kernel"], np.float64)
    bias = np.asarray(weights.get(f"{layer.name}/bias", np.zeros(len(kernel))), np.float64)
    if x.shape[0] * kernel.shape[0] <= 64:
        y = np.stack(
            [sum(correlate2d(c, k, mode="same") for c, k in zip(x, out, strict=True)) for out in kernel]
        )
    else:  # the same as nine products of matrices
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        h, w = x.shape[1:]
        y = sum(
            np.einsum("oc,chw->ohw", kernel[:, :, r, c], padded[:, r : r + h, c : c + w], optimize=True)
            for r in range(3)
            for c in range(3)
        )
    return _ACTIVATIONS[layer.attributes["activation"]](y + bias[:, None, None])


def attend(layer: Layer, x: Array, own: Mapping[str, Array]) -> Array:
    """Attention, or normalisation with the gathered statistics, of maps (channel, row, column)."""
    a = layer.attributes
    match layer.kind:
        case "batch_norm":
            scale = own["scale"] / np.sqrt(own["variance"] + a["epsilon"])
            y = (x - own["mean"][:, None, None]) * scale[:, None, None] + own["offset"][:, None, None]
            return _ACTIVATIONS[a["activation"]](y)
        case "channel_attention":
            votes = [
                own["excite"] @ np.maximum(own["squeeze"] @ pooled, 0)
                for pooled in (x.mean((1, 2)), x.max((1, 2)))
            ]
            return x * expit(votes[0] + votes[1])[:, None, None]
        case "spatial_attention":
            maps = (x.mean(0), x.max(0))
            vote = sum(correlate2d(m, k, mode="same") for m, k in zip(maps, own["kernel"][0], strict=True))
            return x * expit(vote)
        case "eca":
            vote = np.correlate(np.pad(x.mean((1, 2)), a["taps"] // 2), own["kernel"], mode="valid")
            return x * expit(vote)[:, None, None]
    raise ValueError(f"the oracle has no layer of kind {layer.kind!r}")


def _fixed(layer: Layer, x: list[NDArray]) -> NDArray:
    a = layer.attributes
    match layer.kind:
        case "max_pool":
            c, h, w = x[0].shape
            return x[0].reshape(c, h // 2, 2, w // 2, 2).max((2, 4))
        case "upsample":
            return x[0].repeat(2, axis=1).repeat(2, axis=2)
        case "channels":
            return x[0][a["first"] : a["last"]]
        case "pad":
            b = a["border"]
            return np.pad(x[0], ((0, 0), (b, b), (b, b)))
        case "border":
            kept, b = x[0].copy(), a["border"]
            kept[:, b:-b, b:-b] = 0
            return kept
        case "add":
            return x[0] + x[1]
        case "polar":
            return np.maximum(x[0], 0) * np.exp(1j * x[1])
    raise ValueError(f"the oracle has no layer of kind {layer.kind!r}")


def _merge(
    patches: NDArray, intensity: Array, corners: NDArray[np.int64], side: int, background: float
) -> NDArray[np.complex128]:
    n = patches.shape[-1]
    total = np.full((side, side), MERGE_FLOOR * background, np.complex128)
    weight = np.full((side, side), MERGE_FLOOR)
    for patch, w, (r, c) in zip(patches, intensity, corners, strict=True):
        total[r : r + n, c : c + n] += w * patch
        weight[r : r + n, c : c + n] += w
    return total / weight

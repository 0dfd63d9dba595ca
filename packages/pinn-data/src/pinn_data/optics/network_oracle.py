"""A network's description (`pinn_config.architecture`) run in NumPy, float64, layer by layer: what the tests
hold every backend against, as they hold its optics against `pinn_data.optics.forward_model`.

It shares no code with a backend, and takes its time. One group at a time; channels first. Layers that one
backend has alone (attention, normalisation) are not in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pinn_config.architecture import Layer, Network
from scipy.special import expit

from pinn_data.optics.patches import extract, place
from pinn_data.optics.smoothing import smoothed

__all__ = ["Optics", "run"]

Array = NDArray[np.float64]

_ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": expit,
    "swish": lambda x: x * expit(x),
    "softplus": lambda x: np.logaddexp(0, x),
    "pi_tanh": lambda x: math.pi * np.tanh(x),
}
_AMPLITUDE_FLOOR = 1e-3


class Optics:
    """The physics of one group, in the network's units.

    amplitude : (pattern, N, N); probes : (pattern, mode, N, N); corners : (pattern, 2); side : of the canvas
    """

    def __init__(
        self,
        amplitude: Array,
        probes: NDArray[np.complex128],
        corners: NDArray[np.int64],
        side: int,
        background: float,
        sigma: float = 0.0,
    ) -> None:
        self.N, self.side, self.background, self.sigma = amplitude.shape[-1], side, background, sigma
        self.amplitude, self.probes = amplitude, probes
        self.corners, self.positions = corners, corners + self.N // 2
        intensity = (np.abs(probes) ** 2).sum(1)
        self.peak = intensity.max()
        self.light = intensity / self.peak
        self.coverage = self.place(self.light)
        # A smoothing is a matrix along each axis; its adjoint is the transposed one.
        rows = np.eye(self.N)[:, None].repeat(max(2, self.N), 1)
        self.back_matrix = smoothed(rows, sigma)[:, self.N // 2].real

    def place(self, patches: NDArray) -> NDArray:
        return place(patches, self.positions, (self.side, self.side))

    def patches(self, canvas: NDArray) -> NDArray:
        return extract(canvas, self.positions, self.N)

    def _back(self, waves: NDArray) -> NDArray:
        waves = self.back_matrix @ waves @ self.back_matrix.T
        return (self.probes.conj() * waves).sum(1) / self.peak

    def _mended(self, waves: NDArray) -> NDArray:
        field = np.fft.fftshift(np.fft.fft2(waves, norm="ortho"), axes=(-2, -1))
        predicted = np.sqrt((np.abs(field) ** 2).sum(1) + _AMPLITUDE_FLOOR**2)
        field = field * (self.amplitude / predicted)[:, None]
        return np.fft.ifft2(np.fft.ifftshift(field, axes=(-2, -1)), norm="ortho")

    def first_waves(self) -> NDArray:
        light = smoothed(self.probes, self.sigma)
        if self.sigma == 0:
            return self._back(self._mended(light))
        return self._back(self._mended(light) - self.background * light) + self.background * self.light

    def gradient_step(self, canvas: NDArray, floor: float) -> NDArray:
        waves = smoothed(self.probes * self.patches(canvas)[:, None], self.sigma)
        return self.place(self._back(self._mended(waves) - waves)) / (self.coverage + floor)

    def mean(self, total: NDArray, light: NDArray, floor: float) -> NDArray:
        return (total + floor * self.background) / (light + floor)


def run(network: Network, weights: Mapping[str, NDArray], optics: Optics) -> NDArray[np.complex128]:
    """The canvas (side, side) complex128 of one group.

    weights : by their canonical names, `pinn_config.layers.Network.parameters`

    Raises ValueError for a layer that only one backend has.
    """
    values: dict[str, NDArray] = {"amplitude": np.asarray(optics.amplitude, np.float64)}
    for layer in network.layers:
        a = layer.attributes
        x = [values[name] for name in layer.inputs]
        own = {key: np.asarray(weights[f"{layer.name}/{key}"], np.float64) for key in layer.parameters()}
        y: NDArray
        if layer.kind == "conv":
            y = _conv(x[0], own, a["activation"])
        elif layer.kind == "steps":
            y, velocity = x[0], 0
            for step, momentum in zip(own["step"], [0, *own["momentum"]], strict=True):
                velocity = momentum * velocity + step * optics.gradient_step(y, a["floor"])
                y = y + velocity
        else:
            y = _fixed(layer, x, optics)
        values[layer.name] = y
    return values[network.layers[-1].name]


def _conv(x: Array, own: Mapping[str, Array], activation: str) -> Array:
    """Nine products of matrices."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    h, w = x.shape[1:]
    kernel = own["kernel"]
    y = sum(
        np.einsum("oc,chw->ohw", kernel[:, :, r, c], padded[:, r : r + h, c : c + w], optimize=True)
        for r in range(3)
        for c in range(3)
    )
    return _ACTIVATIONS[activation](y + own["bias"][:, None, None])


def _fixed(layer: Layer, x: list[NDArray], optics: Optics) -> NDArray:
    a = layer.attributes
    match layer.kind:
        case "max_pool":
            c, h, w = x[0].shape
            return x[0].reshape(c, h // 2, 2, w // 2, 2).max((2, 4))
        case "upsample":
            return x[0].repeat(2, axis=1).repeat(2, axis=2)
        case "concat":
            return np.concatenate(x)
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
        case "cartesian":
            real, imaginary = np.split(x[1], 2)
            return x[0] + real + 1j * imaginary
        case "correct":
            return x[0] + x[1][0] + 1j * x[1][1]
        case "estimate":
            return optics.mean(optics.first_waves(), optics.light, a["floor"])
        case "first_canvas":
            return optics.mean(optics.place(optics.first_waves()), optics.coverage, a["floor"])
        case "estimate_maps":
            o = x[0] - optics.background
            return np.concatenate([o.real, o.imag, np.sqrt(optics.light)])
        case "features":
            o, first = x[0] - optics.background, x[1] - optics.background
            left = optics.gradient_step(x[0], a["floor"])
            maps = [o.real, o.imag, left.real, left.imag, first.real, first.imag, np.sqrt(optics.coverage)]
            return np.stack(maps)
        case "merge":
            return _merge(x[0], optics, a["floor"])
    raise ValueError(f"the oracle has no layer of kind {layer.kind!r}")


def _merge(patches: NDArray, optics: Optics, floor: float) -> NDArray[np.complex128]:
    if len(patches) == len(optics.light):
        return optics.mean(optics.place(patches * optics.light), optics.coverage, floor)
    canvas = np.full((optics.side, optics.side), optics.background, np.complex128)
    row, column = optics.corners.sum(0) // len(optics.corners)
    canvas[row : row + optics.N, column : column + optics.N] = patches[0]
    return canvas

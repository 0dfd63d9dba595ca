"""The network of `pinn_config.architecture` as a Keras layer: one short function for each kind of layer.

Maps lie channels last, (group, row, column, channel) float32; objects and canvases are those of
`pinn_tf.optics.physics`, (group, pattern, N, N) and (group, M, M) complex64.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from pinn_config.architecture import Layer, Network, network
from pinn_config.configs import ModelConfig
from pinn_config.superseded import PARAMETERS, current_parameters

from pinn_tf.errors import ModelArchiveError, RunError
from pinn_tf.model.activations import ACTIVATIONS
from pinn_tf.optics.complex_numbers import as_complex
from pinn_tf.optics.patches import patch_indices, place
from pinn_tf.optics.physics import GroupOptics

__all__ = ["PRECISIONS", "PtychoNetwork", "read_weights", "write_weights"]

PRECISIONS = {"float32": tf.float32, "mixed_bfloat16": tf.bfloat16, "mixed_float16": tf.float16}
"""What the hidden convolutions compute in. Weights, heads and physics are float32 in all of them."""

# Convolutions with at most so many outputs are computed before the upsampling of their input: `_doubled`.
_FEW_CHANNELS = 4


def _doubled(kernel: tf.Tensor) -> tf.Tensor:
    """Kernels (3, 3, in, 4 * out) of the four pixels that ``conv(upsample(x), kernel)`` has for one of x.

    ``conv(upsample(x), kernel) = depth_to_space(conv(x, _doubled(kernel)), 2)``: of the three rows under an
    output pixel nearest upsampling made two equal, so their weights add up.
    """
    outputs = kernel.shape[-1]
    for axis in (0, 1):
        first, middle, last = tf.unstack(kernel, axis=axis)
        none = tf.zeros_like(first)
        even = tf.stack([first, middle + last, none], axis)
        odd = tf.stack([none, first + middle, last], axis)
        kernel = tf.stack([even, odd], 3 + axis)
    return tf.reshape(kernel, [3, 3, -1, 4 * outputs])


def _upsampled(x: tf.Tensor) -> tf.Tensor:
    """Nearest, to twice the size. Copies, whose derivative is a sum: unlike that of TensorFlow's resizing it
    compiles, and gives the same on a GPU each time."""
    _, rows, columns, channels = x.shape
    x = tf.reshape(tf.concat([x, x], 3), [-1, rows, 2 * columns, channels])
    return tf.reshape(tf.concat([x, x], 2), [-1, 2 * rows, 2 * columns, channels])


def _as_maps(values: tf.Tensor) -> tf.Tensor:
    """(group, channel, row, column) with the channels last."""
    return tf.transpose(values, [0, 2, 3, 1])


def _as_patches(maps: tf.Tensor) -> tf.Tensor:
    """The way back."""
    return tf.transpose(maps, [0, 3, 1, 2])


def _parts(*objects: tf.Tensor) -> list[tf.Tensor]:
    """Real and imaginary parts of complex (group, M, M) or (group, channel, N, N), with an axis for
    channels."""
    with_channels = [o[:, None] if o.shape.rank == 3 else o for o in objects]
    return [part(o) for o in with_channels for part in (tf.math.real, tf.math.imag)]


def _amplitude(intensity: tf.Tensor) -> tf.Tensor:
    """The square root as a map to look at: where it is dark its slope is infinite, so a probe that is trained
    does not learn through it."""
    return tf.sqrt(tf.stop_gradient(intensity))


def _estimate_maps(estimate: tf.Tensor, optics: GroupOptics) -> tf.Tensor:
    parts = _parts(estimate - optics.background)
    return _as_maps(tf.concat([*parts, _amplitude(optics.relative_intensity)], 1))


def _features(canvas: tf.Tensor, first: tf.Tensor, optics: GroupOptics, floor: float) -> tf.Tensor:
    remaining = optics.gradient_step(canvas, floor)
    parts = _parts(canvas - optics.background, remaining, first - optics.background)
    return _as_maps(tf.concat([*parts, _amplitude(optics.coverage)[:, None]], 1))


def _cartesian(start: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
    real, imaginary = tf.split(_as_patches(maps), 2, 1)
    return start + tf.complex(real, imaginary)


def _polar(amplitude: tf.Tensor, phase: tf.Tensor) -> tf.Tensor:
    amplitude, phase = _as_patches(tf.nn.relu(amplitude)), _as_patches(phase)
    return tf.complex(amplitude * tf.cos(phase), amplitude * tf.sin(phase))


def _merge(patches: tf.Tensor, optics: GroupOptics, floor: float) -> tf.Tensor:
    # One map for the whole group (object_big false): every pattern is cut from it, so it lies at the group's
    # middle.
    if patches.shape[1] != optics.relative_intensity.shape[1]:
        indices = patch_indices(optics.middle, optics.size, optics.canvas)
        return place(patches - optics.background, indices, optics.canvas) + optics.background
    return optics.merge(patches, floor)


def _channels(maps: tf.Tensor, first: int, last: int) -> tf.Tensor:
    # As x[..., first:last], whose derivative takes several times as long.
    sizes = [first, last - first, maps.shape[3] - last]
    return tf.split(maps, sizes, 3)[1]


def _with_border(x: tf.Tensor, border: int) -> tf.Tensor:
    return tf.pad(x, [[0, 0], [border, border], [border, border], [0, 0]])


def _ring(like: tf.Tensor, border: int) -> tf.Tensor:
    ring = np.ones((*like.shape[1:3], 1))
    ring[border:-border, border:-border] = 0
    return tf.constant(ring, like.dtype)


_KINDS: dict[str, Callable[[Mapping[str, Any], list[tf.Tensor], GroupOptics], tf.Tensor]] = {
    "max_pool": lambda a, x, optics: tf.nn.max_pool2d(x[0], 2, 2, "VALID"),
    "upsample": lambda a, x, optics: _upsampled(x[0]),
    "concat": lambda a, x, optics: tf.concat(x, 3),
    "channels": lambda a, x, optics: _channels(x[0], a["first"], a["last"]),
    "add": lambda a, x, optics: x[0] + x[1],
    "pad": lambda a, x, optics: _with_border(x[0], a["border"]),
    "border": lambda a, x, optics: x[0] * _ring(x[0], a["border"]),
    "polar": lambda a, x, optics: _polar(x[0], x[1]),
    "cartesian": lambda a, x, optics: _cartesian(x[0], x[1]),
    "estimate": lambda a, x, optics: optics.patch_estimate(a["floor"]),
    "estimate_maps": lambda a, x, optics: _estimate_maps(x[0], optics),
    "merge": lambda a, x, optics: _merge(x[0], optics, a["floor"]),
    "first_canvas": lambda a, x, optics: optics.canvas_estimate(a["floor"]),
    "features": lambda a, x, optics: _features(x[0], x[1], optics, a["floor"]),
    "correct": lambda a, x, optics: _cartesian(x[0][:, None], x[1])[:, 0],
}


@keras.saving.register_keras_serializable(package="pinn_tf")
class PtychoNetwork(keras.layers.Layer):
    """A `pinn_config.architecture.Network` that runs.

    ``network(amplitude, optics=optics)`` gives the canvas (group, M, M) complex64 of each group from its
    measured amplitudes (group, pattern, N, N) float32, scaled to a mean energy of (N/2)**2, and its
    `GroupOptics`.

    model : what is built
    precision : one of `PRECISIONS`, whatever Keras' own policy is
    seed : of the first weights

    Raises
    ------
    ConfigError
        A model without a network.
    ModelArchiveError
        A network with layers that exist in PyTorch alone.
    RunError
        An unknown precision.
    """

    def __init__(
        self, model: ModelConfig, *, precision: str = "float32", seed: int = 0, name: str | None = None
    ) -> None:
        super().__init__(name=name or "network", dtype="float32")
        if precision not in PRECISIONS:
            raise RunError(f"precision={precision!r} is unknown: choose one of {', '.join(PRECISIONS)}")
        self.model, self.precision, self.seed = dataclasses.replace(model), precision, seed
        self.description = network(model)
        _refuse_what_is_torchs(self.description)
        self._folded = _folded_upsamplings(self.description)
        self._on_canvas = _maps_of_canvases(self.description)
        self._last_use = {name: x.name for x in self.description.layers for name in x.inputs}
        self.arrays: dict[str, keras.Variable] = {}
        rng = np.random.default_rng(seed)
        for layer in self.description.layers:
            first = _first_values(layer, rng)
            for key, value in first.items():
                name = f"{layer.name}/{key}"
                self.arrays[name] = self.add_weight(
                    shape=_own_shape(value.shape),
                    initializer=_constant(_own_layout(value)),
                    dtype="float32",
                    autocast=False,
                    name=name.replace("/", "."),
                )
        self.built = True

    def call(self, amplitude: tf.Tensor, optics: Any = None) -> tf.Tensor:
        values: dict[str, tf.Tensor] = {"amplitude": _as_maps(amplitude)}
        for layer in self.description.layers:
            inputs = [values[name] for name in layer.inputs]
            if layer.kind == "conv":
                result = self._convolution(layer, inputs[0])
            elif layer.kind == "steps":
                result = self._descent(layer, inputs[0], optics)
            elif layer.name in self._folded:
                result = inputs[0]
            else:
                result = _KINDS[layer.kind](layer.attributes, inputs, optics)
            if layer.name in self._on_canvas and optics.inside is not None:
                result *= tf.cast(optics.inside, result.dtype)
            values[layer.name] = result
            for name in layer.inputs:
                if self._last_use[name] == layer.name:
                    values.pop(name, None)
        return values[self.description.layers[-1].name]

    def _convolution(self, layer: Layer, x: tf.Tensor) -> tf.Tensor:
        kernel = self._array(layer, "kernel")
        if layer.inputs[0] in self._folded:
            kernel = _doubled(kernel)
        short = PRECISIONS[self.precision]
        x = tf.nn.conv2d(tf.cast(x, short), tf.cast(kernel, short), 1, "SAME")
        if layer.inputs[0] in self._folded:
            x = tf.nn.depth_to_space(x, 2)
        # Bias and relu directly after the convolution: on a CPU they run as one. Not by `tf.nn.bias_add`: its
        # derivative runs as one with that of the kernel, which then takes a third longer. (Pooling before the
        # relu, which saves PyTorch some time, would cost here.)
        x = x + tf.cast(self._array(layer, "bias"), short)
        activation = layer.attributes["activation"]
        if activation == "relu":
            return tf.nn.relu(x)
        # Heads are float32 whatever the precision: a phase in bfloat16 has steps of one percent.
        return ACTIVATIONS[activation](tf.cast(x, tf.float32))

    def _descent(self, layer: Layer, canvas: tf.Tensor, optics: GroupOptics) -> tf.Tensor:
        """Gradient descent with momentum; sizes of steps and momenta are learned."""
        floor = layer.attributes["floor"]
        steps = tf.unstack(as_complex(self._array(layer, "step")))
        momenta = tf.unstack(as_complex(self._array(layer, "momentum")))
        velocity = steps[0] * optics.gradient_step(canvas, floor)
        canvas = canvas + velocity
        for step, momentum in zip(steps[1:], momenta, strict=True):
            velocity = momentum * velocity + step * optics.gradient_step(canvas, floor)
            canvas = canvas + velocity
        return canvas

    def _array(self, layer: Layer, key: str) -> tf.Tensor:
        return tf.convert_to_tensor(self.arrays[f"{layer.name}/{key}"])

    def load_own_variables(self, store: Any) -> None:
        # A file of version 0.1.0 may hold arrays that no network has now, behind all others.
        if len(store.keys()) == len(self.arrays) + len(PARAMETERS):
            store = {str(i): store[str(i)] for i in range(len(self.arrays))}
        super().load_own_variables(store)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "model": dataclasses.asdict(self.model),
            "precision": self.precision,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PtychoNetwork:
        return cls(**config | {"model": ModelConfig(**config["model"])})


def _refuse_what_is_torchs(description: Network) -> None:
    if description.torch_only:
        layer = description.torch_only[0]
        raise ModelArchiveError(
            f"the network has the layer {layer.name!r} of kind {layer.kind!r}, which only the backend "
            "'pytorch' supports, not 'tensorflow': use backend 'pytorch', or train a network without "
            "attention and batch_norm"
        )


def _first_values(layer: Layer, rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """What a layer's arrays start from, in the canonical layout."""
    a, shapes = layer.attributes, layer.parameters()
    if layer.kind == "steps":
        return {
            "step": np.ones(shapes["step"], np.float32),
            "momentum": np.full(shapes["momentum"], a["momentum"], np.float32),
        }
    values = {}
    if "kernel" in shapes:
        # Glorot and Bengio (AISTATS 2010), equation 16: uniform, so that variances stay as they are.
        outputs, inputs, rows, columns = shapes["kernel"]
        bound = a.get("gain", 1.0) * math.sqrt(6 / ((inputs + outputs) * rows * columns))
        drawn = rng.uniform(-bound, bound, shapes["kernel"]).astype(np.float32)
        values["kernel"] = np.zeros_like(drawn) if a["start"] == "zero" else drawn
    if "bias" in shapes:
        values["bias"] = np.full(shapes["bias"], a.get("bias_start", 0), np.float32)
    return values


def _constant(value: NDArray[np.float32]) -> Callable[..., tf.Tensor]:
    return lambda shape, dtype=None: tf.constant(value, dtype)


def _own_layout(canonical: NDArray[np.float32]) -> NDArray[np.float32]:
    """(out, in, row, column) as TensorFlow wants it, (row, column, in, out); anything else as it is."""
    return canonical.transpose(2, 3, 1, 0) if canonical.ndim == 4 else canonical


def _own_shape(canonical: tuple[int, ...]) -> tuple[int, ...]:
    return (*canonical[2:], *canonical[1::-1]) if len(canonical) == 4 else canonical


def _canonical_layout(own: NDArray[np.float32]) -> NDArray[np.float32]:
    return own.transpose(3, 2, 0, 1) if own.ndim == 4 else own


def _folded_upsamplings(description: Network) -> frozenset[str]:
    """Upsamplings that the convolutions behind them do themselves, with the same result: those before
    convolutions with few outputs, the widest maps of a decoder for its least work."""
    users: dict[str, list[Layer]] = {}
    for layer in description.layers:
        for name in layer.inputs:
            users.setdefault(name, []).append(layer)

    def is_head(layer: Layer) -> bool:
        return layer.kind == "conv" and layer.attributes["out_channels"] <= _FEW_CHANNELS

    return frozenset(
        layer.name
        for layer in description.layers
        if layer.kind == "upsample" and all(map(is_head, users[layer.name]))
    )


def _maps_of_canvases(description: Network) -> frozenset[str]:
    """Layers that make maps of whole canvases; those of all others have patterns' size."""
    found: set[str] = set()
    for layer in description.layers:
        if layer.kind == "features" or (layer.kind == "conv" and layer.inputs[0] in found):
            found.add(layer.name)
    return frozenset(found)


def write_weights(network: PtychoNetwork) -> dict[str, NDArray[np.float32]]:
    """The trained arrays under their canonical names (`Network.parameters`), float32 copies."""
    return {
        name: np.array(_canonical_layout(network.arrays[name].value.numpy()), np.float32, order="C")
        for name in network.description.parameters()
    }


def read_weights(network: PtychoNetwork, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Give the network these arrays: ``write_weights(read_weights(w)) == w``. Those of former versions
    (`pinn_config.superseded`) are left out.

    Raises
    ------
    ModelArchiveError
        A name is missing or unknown, or a shape differs; the network is then unchanged.
    """
    weights = current_parameters(weights)
    wanted = network.description.parameters()
    missing, unknown = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    shapes = [
        f"{n} is {weights[n].shape}, not {s}"
        for n, s in wanted.items()
        if n in weights and tuple(weights[n].shape) != s
    ]
    if missing or unknown or shapes:
        raise ModelArchiveError(
            f"the weights do not fit the network {network.description.architecture} at "
            f"N={network.description.N}: "
            f"missing {missing[:3]}, unknown {unknown[:3]}, wrong shapes {shapes[:3]}: open the "
            "archive with the version that wrote it"
        )
    for name in wanted:
        network.arrays[name].assign(_own_layout(np.asarray(weights[name], np.float32)))

"""Small networks for the tests, and what NumPy makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from pinn_config.configs import ModelConfig
from pinn_data.optics import network_oracle
from pinn_tf.model.network import PtychoNetwork, read_weights, write_weights
from tf_scenes import BACKGROUND, Scene, scene

ARCHITECTURES = ("cnn", "unet", "refined", "unrolled")


def shaken(network: PtychoNetwork, seed: int = 0) -> PtychoNetwork:
    """The same network with weights that all differ from zero."""
    rng = np.random.default_rng(seed + 1)
    weights = write_weights(network)
    read_weights(network, {n: w + 0.03 * rng.normal(size=w.shape).astype("f4") for n, w in weights.items()})
    return network


def small_network(architecture: str, gridsize: int = 1, *, seed: int = 0, **settings: Any) -> PtychoNetwork:
    """The narrowest network of an architecture, as a training might leave it."""
    built = {name: settings.pop(name) for name in ("precision",) if name in settings}
    model = ModelConfig(architecture=architecture, gridsize=gridsize, n_filters_scale=1, **settings)
    return shaken(PtychoNetwork(model, seed=seed, **built), seed)


def patterns_of(gridsize: int, **settings: Any) -> Scene:
    """Groups for a network of N = 64."""
    return scene(**{"patterns": gridsize**2, "modes": 1, "size": 64, "canvas": 76} | settings)


def canvases(network: PtychoNetwork, s: Scene, **options: Any) -> NDArray[np.complex64]:
    """What the network makes of a scene."""
    amplitude = tf.constant(s.amplitude, tf.float32)
    return network(amplitude, optics=s.optics(**options)).numpy()


def expected(network: PtychoNetwork, s: Scene) -> NDArray[np.complex128]:
    """What NumPy makes of it, with the same weights."""
    weights, result = write_weights(network), []
    for g in range(len(s.canvas)):
        optics = network_oracle.Optics(
            s.amplitude[g], s.probes[g], s.corners[g], s.canvas.shape[-1], BACKGROUND, s.sigma
        )
        result.append(network_oracle.run(network.description, weights, optics))
    return np.stack(result)

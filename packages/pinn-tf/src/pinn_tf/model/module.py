"""The trainable model: network, probe and intensity scale, and what a step of learning minimises."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import attrs
import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray
from pinn_config.architecture import BACKGROUND
from pinn_config.configs import ModelConfig
from pinn_config.objective import Objective
from pinn_data.learning.loss_functions import LossFunctions
from pinn_data.learning.loss_terms import check_objective, loss_of
from pinn_data.optics.probe import normalised_probe, probe_disk

from pinn_tf.model.losses import LOSSES
from pinn_tf.model.network import PtychoNetwork
from pinn_tf.optics.physics import GroupOptics, fourier_shift

__all__ = ["BACKGROUND", "Batch", "PtychoPINN"]

Batch = Mapping[str, Any]
"""Tensors or NumPy arrays: ``amplitude`` (group, pattern, N, N) float32 with mean energy (N/2)**2,
``centres`` (group, pattern, 2) int64 whole-pixel positions and ``fractions`` (group, pattern, 2) float32;
where the objective needs them also ``labels`` (group, pattern, N, N) complex64, see
`pinn_data.grouping.labels`; where the scan has them ``measured`` and ``stray``, see
`pinn_data.grouping.pattern_stack.PatternStack`. The first `channels` patterns are the network's input; those
that follow it must predict without having seen them."""


@keras.saving.register_keras_serializable(package="pinn_tf")
class PtychoPINN(keras.layers.Layer):
    """Learns objects from diffraction alone: probe x predicted patch, Fourier transform, Poisson likelihood.
    Or from labels, as its objective says.

    model : what the network is
    probe : (mode, N, N) complex, any scale; becomes the model's state, normalised
    intensity_scale : sqrt(photons a pattern) / (N/2), from network units to sqrt(photons)
    objective : what is minimised; default the Poisson likelihood
    precision : of the network's convolutions, one of `pinn_tf.model.network.PRECISIONS`
    probe_trainable, intensity_scale_trainable : whether they are among the `trainable_variables`
    seed : of the network's first weights

    Probe and intensity scale are weights as those of the network are: saved with them, and this model's own.
    It is a layer of the models that an archive holds (`pinn_tf.models`) and is trained by a loop of ours, so
    it is no `keras.Model` with a loss and an optimiser of its own.

    Raises
    ------
    ConfigError, ModelArchiveError, RunError
        As `PtychoNetwork` does; a probe of another size; nothing to learn from.
    """

    probe_parts: keras.Variable

    def __init__(
        self,
        model: ModelConfig,
        probe: ArrayLike,
        intensity_scale: float,
        *,
        objective: Objective | None = None,
        precision: str = "float32",
        probe_trainable: bool = False,
        intensity_scale_trainable: bool = True,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        # A name of its own: one that Keras invents counts what was made before in the process.
        super().__init__(name=name or "ptychopinn", dtype="float32")
        self.objective = objective or Objective()
        check_objective(self.objective, probe_trainable)
        self.network = PtychoNetwork(model, precision=precision, seed=seed)
        self.model = self.network.model
        self.channels = model.gridsize**2
        self.probe_trainable = probe_trainable
        self.intensity_scale_trainable = intensity_scale_trainable
        self._set_probe(normalised_probe(probe, model.N, model.probe_scale))
        self.log_intensity_scale = self.add_weight(
            shape=(),
            initializer="zeros",
            dtype="float32",
            trainable=intensity_scale_trainable and self.objective.looks_at_diffraction,
            autocast=False,
            name="log_intensity_scale",
        )
        # In double precision: what was counted must not depend on how a scale is stored.
        self._counted_scale = self.add_weight(
            shape=(),
            initializer="ones",
            dtype="float64",
            trainable=False,
            autocast=False,
            name="training_intensity_scale",
        )
        self._set_scale(intensity_scale)
        self.built = True

    # State

    def adopt(self, probe: ArrayLike, intensity_scale: float) -> None:
        """Take the probe (mode, N, N) and the intensity scale of the scan that is about to be learned.

        A probe of another number of modes is a new variable: functions and optimisers that were made for the
        old one must be made anew.

        Raises RunError for a probe that is not of the network's size.
        """
        self._set_probe(normalised_probe(probe, self.model.N, self.model.probe_scale))
        self._set_scale(intensity_scale)

    def restore(self, probe: ArrayLike, log_intensity_scale: float, training_intensity_scale: float) -> None:
        """Take a state that was saved, to the bit: normalising the probe again would round it.

        probe : (mode, N, N) complex64, in network units
        """
        self._set_probe(np.asarray(probe, np.complex64))
        self.log_intensity_scale.assign(np.float32(log_intensity_scale))
        self._counted_scale.assign(training_intensity_scale)

    def _set_probe(self, probe: NDArray[np.complex64]) -> None:
        parts = np.stack([probe.real, probe.imag], -1)
        if getattr(self, "probe_parts", None) is not None:
            if self.probe_parts.shape == parts.shape:
                self.probe_parts.assign(parts)
                return
            del self.probe_parts
        self.probe_parts = self.add_weight(
            shape=parts.shape,
            initializer=lambda shape, dtype=None: tf.constant(parts, dtype),
            dtype="float32",
            trainable=self.probe_trainable,
            autocast=False,
            name="probe",
        )

    def _set_scale(self, intensity_scale: float) -> None:
        self.log_intensity_scale.assign(np.float32(math.log(intensity_scale)))
        self._counted_scale.assign(intensity_scale)

    @property
    def training_intensity_scale(self) -> float:
        """What the training's network amplitudes were multiplied with to give sqrt(photons)."""
        return float(self._counted_scale.value.numpy())

    @property
    def intensity_scale(self) -> float:
        """What network amplitudes are multiplied with to give sqrt(photons), as learned."""
        return float(np.exp(np.float64(self.log_intensity_scale.value.numpy())))

    @property
    def gain(self) -> tf.Tensor:
        """Learned factor on the intensity scale, float32: how much brighter the network's objects are than
        its amplitudes say."""
        scale = tf.exp(tf.cast(tf.convert_to_tensor(self.log_intensity_scale), tf.float64))
        return tf.cast(scale / tf.convert_to_tensor(self._counted_scale), tf.float32)

    @property
    def probe(self) -> tf.Tensor:
        """(mode, N, N) complex64, in network units."""
        parts = tf.convert_to_tensor(self.probe_parts)
        probe = tf.complex(parts[..., 0], parts[..., 1])
        if self.model.probe_mask:
            probe *= tf.constant(probe_disk(self.model.N), probe.dtype)
        return probe

    # From patterns to objects

    def optics(
        self, batch: Batch, patterns: slice, corners: tf.Tensor, canvas: int, sides: tf.Tensor | None = None
    ) -> GroupOptics:
        """The physics of some of each group's patterns on a canvas that holds them all; `sides` as
        `GroupOptics` takes them."""
        probes = fourier_shift(self.probe, tf.convert_to_tensor(batch["fractions"])[:, patterns])
        return GroupOptics(
            tf.convert_to_tensor(batch["amplitude"])[:, patterns],
            probes,
            corners[:, patterns],
            canvas,
            BACKGROUND,
            self.model.gaussian_smoothing_sigma,
            sides=sides,
            probes_learn=self.probe_parts.trainable,
            measured_pixels=tf.convert_to_tensor(batch["measured"])[:, patterns]
            if "measured" in batch
            else None,
            stray=tf.convert_to_tensor(batch["stray"]) if "stray" in batch else None,
        )

    def corners(self, batch: Batch, patterns: slice = slice(None)) -> tuple[tf.Tensor, tf.Tensor]:
        """Each pattern's corner on its group's canvas (group, pattern, 2), and that canvas' corner on the
        object (group, 2)."""
        centres = tf.convert_to_tensor(batch["centres"])[:, patterns]
        origin = tf.reduce_min(centres, 1)
        return centres - origin[:, None], origin - self.model.N // 2

    def call(self, batch: Batch, canvas: int | None = None) -> tuple[tf.Tensor, GroupOptics]:
        """The canvas (group, M, M) of each group in network units, and the physics of its input patterns.

        ``module(batch, canvas=M)``; canvas : pixels along one side of the canvases, default N
        """
        given = slice(0, self.channels)
        corners, _ = self.corners(batch)
        optics = self.optics(batch, given, corners, canvas or self.model.N)
        amplitude = tf.convert_to_tensor(batch["amplitude"])[:, given]
        return self.network(amplitude, optics=optics), optics

    # What is minimised

    @property
    def losses(self) -> LossFunctions:
        return LOSSES

    @property
    def train_loss_name(self) -> str:
        """The name under which the loss of the training is logged."""
        return self.objective.loss_name("train")

    @property
    def val_loss_name(self) -> str:
        """The name under which the loss of the validation is logged."""
        return self.objective.loss_name("val")

    def loss(self, batch: Batch, canvas: int) -> dict[str, tf.Tensor]:
        """See `pinn_data.learning.loss_terms.loss_of`."""
        tensors = {name: tf.convert_to_tensor(value) for name, value in batch.items()}
        return loss_of(self, tensors, canvas)

    def predict(self, batch: Mapping[str, tf.Tensor], canvas: int) -> tuple[tf.Tensor, GroupOptics]:
        return self.call(batch, canvas)

    def unseen_optics(self, batch: Mapping[str, tf.Tensor], canvas: int) -> GroupOptics:
        return self.optics(batch, slice(self.channels, None), self.corners(batch)[0], canvas)

    def rates(
        self, objects: tf.Tensor, optics: GroupOptics, batch: Mapping[str, tf.Tensor], patterns: slice
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        # All with the zero frequency at index 0, as the Fourier transform leaves it: they are only averaged.
        rate = optics.unshifted_intensity(objects) * tf.exp(
            2 * tf.convert_to_tensor(self.log_intensity_scale)
        )
        # What was counted: it does not move with the scale that is learned.
        counted = tf.cast(tf.convert_to_tensor(self._counted_scale) ** 2, tf.float32)
        if optics.stray is not None:
            rate += optics.stray * counted
        return rate, optics.measured**2 * counted, optics.flags

    def fixed(self, value: tf.Tensor) -> tf.Tensor:
        return tf.stop_gradient(value)

    # As Keras saves it

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "model": dataclasses.asdict(self.model),
            "modes": self.probe_parts.shape[0],
            "objective": attrs.asdict(self.objective),
            "precision": self.network.precision,
            "probe_trainable": self.probe_trainable,
            "intensity_scale_trainable": self.intensity_scale_trainable,
            "seed": self.network.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PtychoPINN:
        """A model of this configuration, whose probe and intensity scale are still to be loaded."""
        config = dict(config)
        model = ModelConfig(**config.pop("model"))
        probe = np.ones((config.pop("modes"), model.N, model.N))
        objective = Objective(**config.pop("objective"))
        return cls(model, probe, 1.0, objective=objective, **config)

    def save_own_variables(self, store: Any) -> None:
        # By name: Keras' own order is that in which they were made, and a probe may have been made anew.
        for name, variable in self._own_variables().items():
            store[name] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        for name, variable in self._own_variables().items():
            variable.assign(store[name][()])

    def _own_variables(self) -> dict[str, keras.Variable]:
        return {
            "probe": self.probe_parts,
            "log_intensity_scale": self.log_intensity_scale,
            "training_intensity_scale": self._counted_scale,
        }

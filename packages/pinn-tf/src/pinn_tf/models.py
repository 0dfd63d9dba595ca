"""The two models of an archive as plain Keras models, with the inputs of the specification (section 4.4.1).

Inputs of both, for B groups of C = gridsize**2 patterns
    ``input``           [B, N, N, C] float32, measured amplitude in sqrt(photons), zero frequency at N/2: the
                        amplitude with a mean energy of (N/2)**2 over its scan, times the model's
                        `intensity_scale`
    ``input_positions`` [B, 1, 2, C] float32, pixels as (x, y): minus the distance of each pattern's scan
                        position from the mean of its group (the historical ``coords_relative``)

Outputs
    ``trimmed_obj``     [B, N, N, 1] complex64: the object around the group, pixel (N/2, N/2) exactly on the
                        mean position; of both models
    ``pred_amp``, ``pred_intensity`` [B, N, N, C] float32: what ``input`` and its square should be; of the
                        ``autoencoder`` alone

Law, for one pattern at its group's mean: ``pred_amp = intensity_scale * abs(fftshift(fft2(probe *
trimmed_obj, norm='ortho')))`` with the model's own probe, modes added in intensity. So the object is in the
network's units, where the probe explains the mean energy with a transmission of `BACKGROUND`.

Every group is computed by itself, on a canvas as large as its positions ask for: its result does not depend
on its company in a batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from pinn_data.command.plain_errors import plain_errors
from pinn_data.grouping.grouped_images import GroupedImages

from pinn_tf.errors import RunError
from pinn_tf.model.group_batches import group_batches
from pinn_tf.model.module import PtychoPINN
from pinn_tf.optics.patches import extract, patch_indices
from pinn_tf.runtime.devices import on_device

if TYPE_CHECKING:
    from pinn_tf.model.trained_model import TrainedModel

__all__ = ["GroupModel", "GroupReconstruction", "models_of"]

# float32 positions that should be whole numbers may lie so far below them.
_ROUNDING = 1e-4
_LARGEST_CANVAS = 8192
# Sides of canvases are multiples, as in a training (`pinn_data.grouping.group_rows.canvas_side`).
_CANVAS_STEP = 4
_INPUTS = ("input", "input_positions")
_OUTPUTS = ("trimmed_obj", "pred_amp", "pred_intensity")


@keras.saving.register_keras_serializable(package="pinn_tf")
class GroupReconstruction(keras.layers.Layer):
    """From both inputs of a model to its outputs, as the module's docstring says.

    module : the trained model; its weights are this layer's
    diffraction : whether the patterns are predicted too
    """

    def __init__(self, module: PtychoPINN, *, diffraction: bool, name: str | None = None) -> None:
        super().__init__(name=name or "reconstruction", dtype="float32")
        self.module, self.diffraction = module, diffraction
        self.supports_jit = False  # the size of the canvas is not known before the positions are
        self.built = True

    def call(self, inputs: list[tf.Tensor]) -> list[tf.Tensor]:
        module, N = self.module, self.module.model.N
        patterns, positions = inputs
        whole, fractions = _whole_and_fraction(positions)
        # The mean lies on the pixel grid, and every patch of the group is as far from it as its position.
        first = tf.minimum(tf.reduce_min(whole, 1), 0)
        span = tf.reduce_max(tf.maximum(tf.reduce_max(whole, 1), 0) - first, 1)
        sides = tf.where(span == 0, N, -(-(N + span) // _CANVAS_STEP) * _CANVAS_STEP)
        canvas = tf.reduce_max(sides)
        scale = tf.exp(tf.convert_to_tensor(module.log_intensity_scale))
        batch = {"amplitude": tf.transpose(patterns, [0, 3, 1, 2]) / scale, "fractions": fractions}
        optics = module.optics(batch, slice(None), whole - first[:, None], canvas, sides)
        objects = module.network(batch["amplitude"], optics=optics) * tf.cast(module.gain, tf.complex64)
        middle = extract(objects, patch_indices(-first[:, None], N, canvas))
        outputs = [tf.transpose(middle, [0, 2, 3, 1])]
        if self.diffraction:
            intensity = tf.transpose(optics.intensity(objects), [0, 2, 3, 1]) * scale**2
            outputs += [tf.sqrt(intensity), intensity]
        return outputs

    def compute_output_spec(self, inputs: list[keras.KerasTensor]) -> list[keras.KerasTensor]:
        patterns, _ = inputs
        outputs = [keras.KerasTensor((*patterns.shape[:3], 1), dtype="complex64")]
        if self.diffraction:
            outputs += [keras.KerasTensor(patterns.shape, dtype="float32") for _ in range(2)]
        return outputs

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "module": self.module.get_config(), "diffraction": self.diffraction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> GroupReconstruction:
        return cls(**config | {"module": PtychoPINN.from_config(config["module"])})


def _whole_and_fraction(positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Distances (group, pattern, 2) of the positions from their group's mean, as (y, x), in whole pixels
    int32 and the fractions float32."""
    distance = -tf.transpose(tf.cast(positions[:, 0, ::-1], tf.float64), [0, 2, 1])
    whole = tf.floor(distance + _ROUNDING)
    fraction = tf.maximum(distance - whole, 0)
    return tf.cast(whole, tf.int32), tf.cast(fraction, tf.float32)


@keras.saving.register_keras_serializable(package="pinn_tf")
class GroupModel(keras.Model):
    """``diffraction_to_obj`` or, with the diffraction, ``autoencoder``: see the module's docstring.

    ``model.predict([input, input_positions])`` and ``model([input, input_positions])``, also with a
    dictionary of both names; numbers of any real type are converted.

    module : the trained model; its weights are this model's
    diffraction : whether the patterns are predicted too
    trained : the training that it comes from, which `pinn_tf.components` saves; None where that
        is not known
    device : where it computes, `pinn_tf.runtime.devices.CPU` or `GPU`; None: where TensorFlow puts it
    """

    trained: TrainedModel | None = None
    device: str | None = None

    def __init__(self, module: PtychoPINN, *, diffraction: bool, name: str | None = None) -> None:
        N, C = module.model.N, module.channels
        inputs = [
            keras.Input((N, N, C), dtype="float32", name="input"),
            keras.Input((1, 2, C), dtype="float32", name="input_positions"),
        ]
        values = GroupReconstruction(module, diffraction=diffraction)(inputs)
        # Layers that only give the outputs their names.
        outputs = [
            keras.layers.Identity(name=output, dtype="float32")(value)
            for output, value in zip(_OUTPUTS, values, strict=False)
        ]
        super().__init__(
            inputs=inputs,
            outputs=outputs if diffraction else outputs[0],
            name=name or ("autoencoder" if diffraction else "diffraction_to_obj"),
        )

    @property
    def module(self) -> PtychoPINN:
        """The trained model behind this one."""
        return self.get_layer("reconstruction").module

    @property
    def diffraction(self) -> bool:
        """Whether the patterns are predicted too."""
        return self.get_layer("reconstruction").diffraction

    @property
    def N(self) -> int:
        """Pixels along one side of a pattern."""
        return self.module.model.N

    @property
    def channels(self) -> int:
        """Patterns in a group, gridsize**2."""
        return self.module.channels

    @property
    def intensity_scale(self) -> float:
        """What an amplitude of mean energy (N/2)**2 is multiplied with to become ``input``."""
        return self.module.intensity_scale

    def __call__(self, inputs: Any, *args: Any, **options: Any) -> Any:
        """The outputs as tensors. Raises RunError (a ValueError) for inputs that do not fit."""
        with on_device(self.device):
            return super().__call__(self._fitting(inputs), *args, **options)

    def predict(self, x: Any, batch_size: int | None = None, *args: Any, **options: Any) -> Any:
        """The outputs as NumPy arrays, batch by batch; options are those of `keras.Model.predict`.

        Of `pinn_data.grouping.grouped_images.GroupedImages`, which a container's ``X`` is, no more than a few
        batches are made at a time.

        Raises RunError (a ValueError) for inputs that do not fit; never a class of TensorFlow or
        Keras.
        """
        inputs = self._fitting(x, lazily=True)
        if isinstance(inputs, list) and isinstance(inputs[0], GroupedImages):
            inputs, batch_size = group_batches(inputs[0], np.asarray(inputs[1]), batch_size or 32), None
        with plain_errors(), on_device(self.device):
            return super().predict(inputs, batch_size, *args, **options)

    def export(
        self,
        filepath: str | Path,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **options: Any,
    ) -> None:
        """Write the model for inference. As a SavedModel it runs without this package: its signature
        ``serving_default`` and its function ``serve`` have the names of the inputs and outputs, as with
        ``tf.saved_model.save(model, filepath)``.

        format : of `keras.Model.export`; what follows is for the default, the others take Keras' options
        verbose : whether to print where it was written; default not
        input_signature : specifications of both inputs, for other shapes than any number of groups

        Raises RunError (a ValueError) for a signature that does not fit, or options that a
        SavedModel does not have.
        """
        if format != "tf_saved_model":
            given = {"verbose": verbose, "input_signature": input_signature}
            options |= {name: value for name, value in given.items() if value is not None}
            return super().export(filepath, format, **options)
        if options:
            raise RunError(
                f"the options {sorted(options)} were given, but a SavedModel of this model has none: leave "
                "them out"
            )
        exported = tf.Module()
        exported.weights = [variable.value for variable in self.variables]
        exported.serve = self._serving(input_signature)
        tf.saved_model.save(
            exported,
            str(filepath),
            signatures={"serving_default": exported.serve},
            options=tf.saved_model.SaveOptions(experimental_custom_gradients=False),
        )
        if verbose:
            print(f"Saved the model at {filepath}")

    @property
    def _default_save_signature(self) -> Any:
        # Where `tf.saved_model.save` looks for the signature of what it was given.
        return self._serving()

    def _serving(self, input_signature: Any = None) -> Any:
        """The model as a function of TensorFlow from inputs to outputs by name.

        input_signature : specifications of both inputs; default any number of groups
        """
        N, C = self.N, self.channels
        shapes = [(None, N, N, C), (None, 1, 2, C)]
        if input_signature is not None:
            shapes = [spec.shape for spec in keras.tree.flatten(input_signature)]
            if len(shapes) != 2:
                raise RunError(
                    f"an input_signature of {len(shapes)} inputs was given, but two are needed: "
                    "[input, input_positions]"
                )
        specs = [
            tf.TensorSpec(shape, tf.float32, name=name) for name, shape in zip(_INPUTS, shapes, strict=True)
        ]

        @tf.function(input_signature=specs, autograph=False)
        def serve(input: tf.Tensor, input_positions: tf.Tensor) -> dict[str, tf.Tensor]:
            values = self([input, input_positions])
            return dict(zip(_OUTPUTS, values if self.diffraction else [values], strict=False))

        return serve

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "module": self.module.get_config(), "diffraction": self.diffraction}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> GroupModel:
        return cls(**config | {"module": PtychoPINN.from_config(config["module"])})

    def _fitting(self, inputs: Any, *, lazily: bool = False) -> Any:
        """Both inputs as arrays or tensors of floats; what is no pair of arrays, as it is, for Keras.

        lazily : leave images that were not made yet as they are

        Raises RunError, with one sentence, where they do not fit.
        """
        if isinstance(inputs, Mapping) and set(inputs) == set(_INPUTS):
            inputs = [inputs[name] for name in _INPUTS]
        if isinstance(inputs, Mapping) or (isinstance(inputs, list | tuple) and len(inputs) != 2):
            given = f"the inputs {sorted(inputs)}" if isinstance(inputs, Mapping) else f"{len(inputs)} inputs"
            raise RunError(
                f"{given} were given, but two are needed: [input, input_positions], or a dictionary with "
                "these names"
            )
        if not isinstance(inputs, list | tuple) or any(isinstance(x, keras.KerasTensor) for x in inputs):
            return inputs
        waiting = lazily and isinstance(inputs[0], GroupedImages)
        arrays = [inputs[0], np.asarray(inputs[1])] if waiting else [_floats(value) for value in inputs]
        if not waiting and any(map(tf.is_tensor, arrays)):  # which Keras takes together with tensors only
            arrays = [tf.convert_to_tensor(array) for array in arrays]
        N, C = self.N, self.channels
        shapes = [tf.TensorShape(array.shape) for array in arrays]
        for name, shape, want in zip(_INPUTS, shapes, [(N, N, C), (1, 2, C)], strict=True):
            if not shape.is_compatible_with((None, *want)) or shape[0] == 0:
                raise RunError(
                    f"{name} has the shape {shape}, but [B, {', '.join(map(str, want))}] is needed for this "
                    f"model of N={N} and gridsize={self.module.model.gridsize}: group the patterns as for "
                    f"its training, or open a model {_other(shape)}"
                )
        if not shapes[0][:1].is_compatible_with(shapes[1][:1]):
            raise RunError(
                f"input has {shapes[0][0]} groups, but input_positions {shapes[1][0]}: give one row of "
                "positions for each group"
            )
        if not tf.is_symbolic_tensor(arrays[1]):
            _check_positions(np.asarray(arrays[1]), N)
        return arrays


def _floats(values: Any) -> Any:
    """Floats as they are, other numbers as float32."""
    if tf.is_tensor(values):
        return values if values.dtype.is_floating else tf.cast(values, tf.float32)
    array = np.asarray(values)
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float32)


def _other(shape: tf.TensorShape) -> str:
    """For which N and gridsize patterns of this shape were grouped, in words."""
    if shape.rank == 4 and shape[1] is not None and shape[1] == shape[2] and shape[3]:
        gridsize = math.isqrt(shape[3])
        if gridsize**2 == shape[3]:
            return f"that was trained for N={shape[1]} and gridsize={gridsize}, which these are for"
    return "that was trained for these"


def _check_positions(positions: np.ndarray, N: int) -> None:
    if not np.isfinite(positions).all():
        raise RunError("some input_positions are not finite: leave out the groups that they belong to")
    furthest = float(np.abs(positions).max())
    if 2 * furthest + N > _LARGEST_CANVAS:
        raise RunError(
            f"input_positions reach {furthest:g} pixels from the mean of a group, but a canvas has at most "
            f"{_LARGEST_CANVAS} x {_LARGEST_CANVAS}: give positions in object pixels, relative to the "
            "group's mean"
        )


def models_of(module: PtychoPINN) -> dict[str, GroupModel]:
    """Both models of a trained module, under the names that they have in an archive; they share its
    weights."""
    return {
        "diffraction_to_obj": GroupModel(module, diffraction=False),
        "autoencoder": GroupModel(module, diffraction=True),
    }

"""The workflow functions of the TensorFlow backend under their historical names; all of a backend is here.

See `pinn_tf.components`, `pinn_tf.components`, `pinn_data.grouping.raw_data`,
`pinn_data.run.outputs` and `pinn_tf.workflows`.
"""

from pinn_data.grouping.raw_data import load_data
from pinn_data.run.outputs import save_outputs
from pinn_tf.components import (
    load_inference_bundle,
    reassemble_cdi_image,
    run_cdi_example,
    save_inference_bundle,
    train_cdi_model,
)
from pinn_tf.workflows import Reconstruction, TrainingResult, reconstruct, seen_devices, train

__all__ = [
    "Reconstruction",
    "TrainingResult",
    "load_data",
    "load_inference_bundle",
    "reassemble_cdi_image",
    "reconstruct",
    "run_cdi_example",
    "save_inference_bundle",
    "save_outputs",
    "seen_devices",
    "train",
    "train_cdi_model",
]

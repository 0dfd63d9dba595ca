"""The workflow functions of the specification, under their names.

`pinn_data.run.workflow_functions` and `pinn_data.run.inference_bundle` describe them, the same for every
backend. Importing this loads no framework.
"""

from __future__ import annotations

from pinn_data.run.workflow_results import RESULT_KEYS

from pinn_tf.backend import TENSORFLOW

__all__ = [
    "RESULT_KEYS",
    "load_inference_bundle",
    "reassemble_cdi_image",
    "run_cdi_example",
    "save_inference_bundle",
    "train_cdi_model",
]

run_cdi_example = TENSORFLOW.run_cdi_example
train_cdi_model = TENSORFLOW.train_cdi_model
reassemble_cdi_image = TENSORFLOW.reassemble_cdi_image
load_inference_bundle = TENSORFLOW.load_inference_bundle
save_inference_bundle = TENSORFLOW.save_inference_bundle

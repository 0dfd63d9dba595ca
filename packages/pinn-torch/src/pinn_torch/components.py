"""The workflow functions of the specification, under their names and the historical ones.

`pinn_data.run.workflow_functions` and `pinn_data.run.inference_bundle` describe them, the same for every
backend. Importing this loads no framework.
"""

from __future__ import annotations

from pinn_data.run.workflow_results import RESULT_KEYS

from pinn_torch.backend import TORCH

__all__ = [
    "RESULT_KEYS",
    "load_inference_bundle",
    "load_inference_bundle_torch",
    "reassemble_cdi_image",
    "run_cdi_example",
    "run_cdi_example_torch",
    "save_inference_bundle",
    "train_cdi_model",
    "train_cdi_model_torch",
]

run_cdi_example = run_cdi_example_torch = TORCH.run_cdi_example
train_cdi_model = train_cdi_model_torch = TORCH.train_cdi_model
reassemble_cdi_image = TORCH.reassemble_cdi_image
load_inference_bundle = load_inference_bundle_torch = TORCH.load_inference_bundle
save_inference_bundle = TORCH.save_inference_bundle

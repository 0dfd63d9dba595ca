"""The workflow functions of the PyTorch backend under their historical names; all of a backend is here.

See `pinn_torch.components`, `pinn_torch.components`, `pinn_data.run.outputs` and
`pinn_torch.workflows`.
"""

from pinn_data.grouping.raw_data import load_data
from pinn_data.run.outputs import save_outputs
from pinn_torch.components import (
    load_inference_bundle,
    load_inference_bundle_torch,
    reassemble_cdi_image,
    run_cdi_example,
    run_cdi_example_torch,
    save_inference_bundle,
    train_cdi_model,
    train_cdi_model_torch,
)
from pinn_torch.workflows import Reconstruction, TrainingResult, reconstruct, seen_devices, train

__all__ = [
    "Reconstruction",
    "TrainingResult",
    "load_data",
    "load_inference_bundle",
    "load_inference_bundle_torch",
    "reassemble_cdi_image",
    "reconstruct",
    "run_cdi_example",
    "run_cdi_example_torch",
    "save_inference_bundle",
    "save_outputs",
    "seen_devices",
    "train",
    "train_cdi_model",
    "train_cdi_model_torch",
]

"""Historical names: the dispatchers between the two backends."""

from pinn_tf.historical.backend_selector import (
    load_inference_bundle_with_backend,
    run_cdi_example_with_backend,
    save_with_backend,
    train_cdi_model_with_backend,
)

__all__ = [
    "load_inference_bundle_with_backend",
    "run_cdi_example_with_backend",
    "save_with_backend",
    "train_cdi_model_with_backend",
]

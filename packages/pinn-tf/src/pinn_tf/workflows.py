"""The two things that a user does: train on a scan, and reconstruct a scan.

`pinn_data.run.workflows` describes them, the same for every backend. Importing this loads no framework.
"""

from __future__ import annotations

from pinn_data.run.results import Reconstruction, TrainingResult

from pinn_tf.backend import TENSORFLOW

__all__ = ["Reconstruction", "TrainingResult", "reconstruct", "seen_devices", "train"]

train = TENSORFLOW.train
reconstruct = TENSORFLOW.reconstruct
seen_devices = TENSORFLOW.seen_devices

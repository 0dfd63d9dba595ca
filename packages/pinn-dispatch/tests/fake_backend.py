"""A backend that needs no framework: it "learns" nothing and reconstructs by handing back the object of the
scan.

It has the signatures of `pinn_dispatch.backend.Backend`, writes a real archive and leaves what a real one
leaves, so the commands are tested whole.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import attrs
import numpy as np
from pinn_archive import ModelPayload, find_archive, read_archive, write_archive
from pinn_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, legacy
from pinn_data.optics.forward_model import diffraction_amplitude, residual
from pinn_data.progress.reports import CancelledError, Report
from pinn_data.run.run_record import Origin
from pinn_data.scan.positions import canvas_for

STEPS = 5
CALLS: list[dict] = []
"""What `train` and `reconstruct` were called with, newest last."""


@attrs.frozen(eq=False)
class Trained:
    archive: Path
    history: list
    seconds: float
    parameters: int
    scales: dict
    provenance: dict
    cancelled: bool = False


@attrs.frozen(eq=False)
class Reconstructed:
    object: np.ndarray
    coverage: np.ndarray
    canvas: object
    positions: np.ndarray
    residual: float
    probe: np.ndarray
    seconds: dict
    gridsize: int
    scales: dict
    provenance: dict
    refined: object = None

    def predict_amplitude(self, frame):
        here = self.canvas.local(self.positions[frame : frame + 1])
        return diffraction_amplitude(self.object, self.probe, here)[0]


_SCALES = {"nphotons": 1e5, "normalisation": 0.25, "intensity_scale": 4.0}


def _record(scan, config, execution, seed, validation=None, model=None):
    origin = Origin(scan, validation=validation, model=model)
    execution = execution or PyTorchExecutionConfig()
    return origin.record(
        config, execution, seed=seed, backend="pytorch", package="pinn_data", frameworks={"fake": "1.0"}
    )


def train(scan, config, execution=None, *, validation=None, seed=0, max_seconds=None, progress=None):
    CALLS.append(
        {
            "scan": scan,
            "config": config,
            "execution": execution,
            "validation": validation,
            "seed": seed,
            "max_seconds": max_seconds,
        }
    )
    report = Report("training", progress)
    history, known = [], {"epoch": 0, "epochs": 1, "step": 0}
    goes_on = report(0.0, **known)
    while goes_on and len(history) < STEPS:
        i = len(history)
        history.append(
            {"step": i, "epoch": 0, "seconds": 0.1 * i, "train_loss": 1.0 / (1 + i), "val_loss": None}
        )
        known |= {"step": i, "loss": history[-1]["train_loss"]}
        goes_on = report(len(history) / STEPS, **known)
    if not history:
        raise CancelledError("nothing was learned")
    archive = write_archive(
        config.output_dir,
        models={
            "autoencoder": ModelPayload({}),
            "diffraction_to_obj": ModelPayload({"conv/kernel": np.ones((2, 1, 3, 3), np.float32)}),
        },
        params={"N": config.model.N, "gridsize": config.model.gridsize},
        arrays={"probe": scan.probe},
        backend="pytorch",
        provenance={"seed": seed, "steps": len(history)},
    )
    if goes_on:
        report.finish(**known)
    record = _record(scan, config, execution, seed, validation)
    return Trained(archive, history, 0.4, 18, _SCALES, record, not goes_on)


def run_cdi_example(
    train_data,
    test_data,
    config,
    flip_x=False,
    flip_y=False,
    transpose=False,
    M=20,
    do_stitching=False,
    execution_config=None,
):
    turned = {"flip_x": flip_x, "flip_y": flip_y, "transpose": transpose, "M": M}
    results = train_cdi_model(train_data, test_data, config, execution_config)
    CALLS[-1] |= turned
    if not do_stitching:
        return None, None, results
    found = reconstruct(config.output_dir, test_data)
    return abs(found.object), np.angle(found.object), {**results, "object": found.object}


def train_cdi_model(train_data, test_data, config, execution_config=None):
    trained = train(train_data, config, execution_config, validation=test_data)
    CALLS[-1]["legacy"] = dict(legacy.cfg)
    return {"bundle_path": trained.archive, "backend": "fake"}


def load_inference_bundle(bundle_dir, model_name="diffraction_to_obj", execution_config=None):
    CALLS.append(
        {
            "bundle_dir": bundle_dir,
            "model_name": model_name,
            "execution": execution_config,
            "legacy": dict(legacy.cfg),
        }
    )
    return read_archive(bundle_dir).models[model_name], {}


def save_inference_bundle(results, bundle_dir):
    CALLS.append({"results": results, "bundle_dir": bundle_dir, "legacy": dict(legacy.cfg)})
    bundle_dir.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(results["bundle_path"], bundle_dir))


def reconstruct(model, scan, config=None, execution=None, *, seed=0, progress=None):
    CALLS.append({"model": model, "scan": scan, "config": config, "execution": execution, "seed": seed})
    params = read_archive(model).params
    report = Report("reconstruction", progress)
    for share in (0.0, 0.5):
        if not report(share):
            raise CancelledError(f"cancelled at {share}")
    began = time.perf_counter()
    canvas = canvas_for(scan.positions, scan.N)
    (y, x), (height, width) = canvas.origin, canvas.shape
    image = scan.object[y : y + height, x : x + width]
    predicted = diffraction_amplitude(image, scan.probe, canvas.local(scan.positions))
    total = time.perf_counter() - began
    report.finish()
    return Reconstructed(
        image,
        np.ones(canvas.shape, np.float32),
        canvas,
        scan.positions,
        residual(predicted, scan.amplitude()),
        scan.probe,
        {"network": 0.0, "stitching": 0.0, "total": total},
        params["gridsize"],
        _SCALES,
        _record(scan, config or InferenceConfig(ModelConfig()), execution, seed, model=find_archive(model)),
    )

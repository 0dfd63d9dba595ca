"""Every field of every configuration changes the result of a tiny run, is refused, or the table says why not.

A new field fails here until it is in one of the tables. Runs are two steps without graphs.
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import attrs
import numpy as np
import pytest
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.scan.scan import Scan
from pinn_data.testing import small_scan
from pinn_tf.archive.model_archive import load_model
from pinn_tf.backend import TENSORFLOW
from tf_trainings import learned, network_image, quiet

Settings = dict[str, Any]
"""Of a training: sections ``model`` and ``execution``, the rest fields of TrainingConfig. Of a
reconstruction: ``execution``, the rest fields of InferenceConfig. ``scan`` names another scan."""

_GROUPS = {"model": {"gridsize": 2}}
_NEAR = {"neighbor_count": 8, "neighbor_function": "Min_dist"}
_STOPPED = {"nepochs": 4, "validation": True}

# Field: the settings that the run has besides, and the change. Two trainings must give other numbers.
_TRAINING: dict[type, dict[str, tuple[Settings, Settings]]] = {
    ModelConfig: {
        "gridsize": ({}, {"model": {"gridsize": 2}}),
        "n_filters_scale": ({}, {"model": {"n_filters_scale": 2}}),
        "model_type": ({}, {"model": {"model_type": "supervised"}}),
        "amp_activation": ({}, {"model": {"amp_activation": "softplus"}}),
        "object_big": (_GROUPS, {"model": {"object_big": False}}),
        "probe_big": ({}, {"model": {"probe_big": False}}),
        "probe_mask": ({}, {"model": {"probe_mask": True}}),
        "pad_object": ({}, {"model": {"pad_object": False}}),
        "probe_scale": ({}, {"model": {"probe_scale": 3.0}}),
        "gaussian_smoothing_sigma": ({}, {"model": {"gaussian_smoothing_sigma": 0.7}}),
        "architecture": ({}, {"model": {"architecture": "unrolled"}}),
        "use_shared_decoder": ({}, {"model": {"use_shared_decoder": True}}),
        "decoder_last_c_outer_fraction": ({}, {"model": {"decoder_last_c_outer_fraction": 0.5}}),
        "decoder_last_amp_channels": (_GROUPS, {"model": {"decoder_last_amp_channels": 1}}),
    },
    TrainingConfig: {
        "batch_size": ({}, {"batch_size": 3}),
        "nepochs": ({}, {"nepochs": 2}),
        "mae_weight": ({}, {"mae_weight": 5.0}),
        "nll_weight": ({"mae_weight": 5.0}, {"nll_weight": 0.1}),
        "realspace_weight": ({}, {"realspace_weight": 50.0}),
        "realspace_mae_weight": ({"realspace_weight": 50.0}, {"realspace_mae_weight": 1.0}),
        "amp_loss": ({}, {"amp_loss": "Total_Variation", "amp_loss_coeff": 50.0}),
        "phase_loss": ({}, {"phase_loss": "Mean_Deviation", "phase_loss_coeff": 50.0}),
        "amp_loss_coeff": ({"amp_loss": "Mean_Deviation"}, {"amp_loss_coeff": 50.0}),
        "phase_loss_coeff": ({"phase_loss": "Total_Variation"}, {"phase_loss_coeff": 50.0}),
        "phase_subtraction": ({"model": {"model_type": "supervised"}}, {"phase_subtraction": False}),
        "nphotons": ({"scan": "amplitude"}, {"nphotons": 1e4}),
        "n_groups": ({}, {"n_groups": 3}),
        "n_images": ({"n_groups": None}, {"n_images": 3}),
        "n_subsample": ({}, {"n_subsample": 7}),
        "subsample_seed": ({"n_subsample": 7}, {"subsample_seed": 5}),
        "neighbor_count": (_GROUPS, {"neighbor_count": 8}),
        "neighbor_function": ({**_GROUPS, "neighbor_count": 8}, {"neighbor_function": "4_quadrant"}),
        "min_neighbor_distance": ({**_GROUPS, **_NEAR}, {"min_neighbor_distance": 8.0}),
        "max_neighbor_distance": ({**_GROUPS, **_NEAR}, {"max_neighbor_distance": 12.0}),
        "scan_pattern": (
            {**_GROUPS, **_NEAR, "max_neighbor_distance": 9.5},
            {"scan_pattern": "Rectangular"},
        ),
        "probe_trainable": ({}, {"probe_trainable": True}),
        "intensity_scale_trainable": ({}, {"intensity_scale_trainable": False}),
        "sequential_sampling": ({}, {"sequential_sampling": True}),
        "predicted_neighbors": ({}, {"predicted_neighbors": 0}),
        "refine": ({}, {"refine": "probe"}),
    },
    PyTorchExecutionConfig: {
        "precision": ({}, {"execution": {"precision": "bf16-mixed"}}),
        "gradient_clip_val": ({}, {"execution": {"gradient_clip_val": 0.01}}),
        "gradient_clip_algorithm": (
            {"execution": {"gradient_clip_val": 0.01}},
            {"execution": {"gradient_clip_algorithm": "value"}},
        ),
        "accum_steps": ({}, {"execution": {"accum_steps": 2}}),
        "learning_rate": ({}, {"execution": {"learning_rate": 2e-3}}),
        "scheduler": ({}, {"execution": {"scheduler": "Exponential"}}),
        "warmup_steps": ({}, {"execution": {"warmup_steps": 8}}),
        "checkpoint_mode": (
            {**_STOPPED, "execution": {"early_stop_patience": 1}},
            {"execution": {"checkpoint_mode": "max"}},
        ),
        "early_stop_patience": (
            {**_STOPPED, "execution": {"checkpoint_mode": "max"}},
            {"execution": {"early_stop_patience": 1}},
        ),
        "checkpoint_monitor_metric": (
            {**_STOPPED, "execution": {"checkpoint_mode": "max", "early_stop_patience": 1}},
            {"execution": {"checkpoint_monitor_metric": "val_deviance", "checkpoint_mode": "min"}},
        ),
    },
}

# The same of two reconstructions with one model of gridsize 2.
_RECONSTRUCTION: dict[type, dict[str, tuple[Settings, Settings]]] = {
    InferenceConfig: {
        "n_groups": ({}, {"n_groups": 3}),
        "n_images": ({}, {"n_images": 3}),
        "n_subsample": ({}, {"n_subsample": 8}),
        "subsample_seed": ({"n_subsample": 8}, {"subsample_seed": 5}),
        "neighbor_count": ({}, {"neighbor_count": 8}),
        "neighbor_function": ({"neighbor_count": 8}, {"neighbor_function": "4_quadrant"}),
        "min_neighbor_distance": (_NEAR, {"min_neighbor_distance": 8.0}),
        "max_neighbor_distance": (_NEAR, {"max_neighbor_distance": 12.0}),
        "scan_pattern": ({**_NEAR, "max_neighbor_distance": 9.5}, {"scan_pattern": "Rectangular"}),
        "patch_weighting": ({}, {"patch_weighting": "uniform"}),
        "border_px": ({}, {"border_px": 1}),
        "refine": ({}, {"refine": "probe"}),
    },
    PyTorchExecutionConfig: {
        "middle_trim": ({}, {"execution": {"middle_trim": 30}}),
        "pad_eval": ({}, {"execution": {"pad_eval": True}}),
    },
}

_OF_TORCH = "only the backend 'pytorch' supports"

# Field: another value that is refused, with the words of the sentence.
_REFUSED: dict[type, dict[str, tuple[Settings, str]]] = {
    ModelConfig: {
        "N": ({"model": {"N": 128}}, "patterns are 64 x 64, but the network is for N=128"),
        **{
            name: ({"model": {name: True}}, _OF_TORCH)
            for name in (
                *("cbam_encoder", "cbam_bottleneck", "cbam_decoder", "eca_encoder", "eca_decoder"),
                *("spatial_decoder", "batch_norm"),
            )
        },
        "decoder_spatial_kernel": (
            {"model": {"spatial_decoder": True, "decoder_spatial_kernel": 5}},
            _OF_TORCH,
        ),
    },
    PyTorchExecutionConfig: {
        "accelerator": ({"execution": {"accelerator": "tpu"}}, "accelerator='tpu'"),
        "devices": ({"execution": {"devices": 2}}, "devices=2"),
        "strategy": ({"execution": {"strategy": "ddp"}}, "strategy='ddp'"),
        "pin_memory": ({"execution": {"pin_memory": True}}, "pin_memory=True"),
        "persistent_workers": (
            {"execution": {"persistent_workers": True, "num_workers": 1}},
            "persistent_workers=True",
        ),
    },
}

_A_PATH = "a place, not a number; the callers that read and write there have tests of their own"
_A_BACKEND = "who trains or reconstructs: chosen before this backend is called (pinn_dispatch)"
_A_LOADER = "how batches come into being: they are the same batches (test_datamodule)"
_A_RECORD = "what is shown or kept of a run, not what comes out of it (test_checkpoints, test_loggers)"

_WITHOUT_INFLUENCE: dict[type, dict[str, str]] = {
    ModelConfig: {},
    TrainingConfig: {
        "model": "its fields have a table of their own",
        "validation_groups": "how closely a training is judged, not what it learns (test_epoch_groups)",
        "positions_provided": "a legacy flag: a scan always has positions (test below)",
        "train_data_file": _A_PATH,
        "test_data_file": _A_PATH,
        "output_dir": _A_PATH,
        "backend": _A_BACKEND,
    },
    InferenceConfig: {
        "model": "it may repeat the archive's network, anything else is refused (test_reconstruction)",
        "model_path": _A_PATH,
        "test_data_file": _A_PATH,
        "output_dir": _A_PATH,
        "backend": _A_BACKEND,
        "debug": "tells more of the same run (test_reconstruction)",
    },
    PyTorchExecutionConfig: {
        "deterministic": "whether the same run gives the same bits again, which here it does in any case",
        "compile": "other code for the same numbers (test_training)",
        "num_workers": _A_LOADER,
        "prefetch_factor": _A_LOADER,
        "enable_progress_bar": _A_RECORD,
        "enable_checkpointing": _A_RECORD,
        "checkpoint_save_top_k": _A_RECORD,
        "logger_backend": _A_RECORD,
        "inference_batch_size": "the size of a batch does not matter (law in test_reconstruction)",
    },
}

_CONFIGS = (ModelConfig, TrainingConfig, InferenceConfig, PyTorchExecutionConfig)


@pytest.mark.parametrize("kind", _CONFIGS)
def test_every_field_is_in_one_table(kind):
    tables = (_TRAINING, _RECONSTRUCTION, _REFUSED, _WITHOUT_INFLUENCE)
    named = [name for table in tables for name in table.get(kind, {})]
    assert len(named) == len(set(named))
    assert set(named) == {item.name for item in dataclasses.fields(kind)}


def _merged(first: Settings, second: Settings) -> Settings:
    result = dict(first)
    for key, value in second.items():
        result[key] = {**result.get(key, {}), **value} if isinstance(value, dict) else value
    return result


def _scan(name: str | None) -> Scan:
    scan = small_scan()
    # Its phase is not that with which a network begins, so that subtracting it matters.
    scan = attrs.evolve(scan, object=scan.object * np.exp(0.8j))
    if name == "amplitude":
        return attrs.evolve(scan, diffraction=0.01 * scan.amplitude(), unit="amplitude")
    return scan


def _learned(settings: Settings) -> dict[str, np.ndarray]:
    """Every number that a training of two steps leaves."""
    given = dict(settings)
    scan, validation = _scan(given.pop("scan", None)), given.pop("validation", False)
    model, execution = given.pop("model", {}), given.pop("execution", {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # n_images is tested too
        config = TrainingConfig(
            ModelConfig(**{"architecture": "cnn", "n_filters_scale": 1} | model),
            **{"nepochs": 1, "batch_size": 2, "n_groups": 4, "predicted_neighbors": 1} | given,
        )
    looked_at = small_scan(rows=2) if validation else None
    scan, looked_at = TENSORFLOW.correct_scans(scan, looked_at, config, quiet(**execution))
    found = learned(scan, config, quiet(**execution), validation=looked_at).trained
    values = {str(i): variable.value.numpy() for i, variable in enumerate(found.module.variables)}
    return values | {"steps": np.array(found.provenance["steps"])}


@pytest.fixture(scope="module")
def known():
    """Results by their settings."""
    return {}


def _once(known, settings: Settings) -> dict[str, np.ndarray]:
    key = repr(settings)
    if key not in known:
        known[key] = _learned(settings)
    return known[key]


def _same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[k], second[k]) for k in first)


def _changing(table: dict[type, dict[str, tuple[Settings, Settings]]]) -> list[Any]:
    return [
        pytest.param(base, change, id=name)
        for fields in table.values()
        for name, (base, change) in fields.items()
    ]


@pytest.mark.parametrize(("base", "change"), _changing(_TRAINING))
def test_a_training_with_another_value_learns_something_else(eager, known, base, change):
    assert not _same(_once(known, base), _once(known, _merged(base, change)))


def test_the_same_settings_learn_the_same(eager, known, caplog):
    """Or every change would seem to count. A legacy flag that denies the positions is told and changes
    nothing."""
    again = _learned({"positions_provided": False})
    assert caplog.text.count("positions_provided=False has no effect") == 1
    assert _same(again, _once(known, {}))


def _image(archive, settings: Settings):
    config = {k: v for k, v in settings.items() if k != "execution"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        asked = InferenceConfig(load_model(archive).config.model, **{"neighbor_count": 3} | config)
    return network_image(archive, small_scan(), asked, quiet(**settings.get("execution", {})))


@pytest.mark.parametrize(("base", "change"), _changing(_RECONSTRUCTION))
def test_a_reconstruction_with_another_value_is_another_image(eager, known, trained, base, change):
    archive = trained("unrolled", 2)
    images = []
    for settings in (base, _merged(base, change)):
        key = "image " + repr(settings)
        if key not in known:
            known[key] = _image(archive, settings)
        images.append(known[key])
    assert not np.array_equal(images[0].object, images[1].object)


def test_the_same_reconstruction_is_the_same_image(eager, trained):
    first, again = (_image(trained("unrolled", 2), {}) for _ in range(2))
    np.testing.assert_array_equal(first.object, again.object)


@pytest.mark.parametrize(
    ("change", "words"), [pytest.param(*v, id=k) for fields in _REFUSED.values() for k, v in fields.items()]
)
def test_what_cannot_be_is_refused(change, words):
    with pytest.raises(ValueError, match=words) as caught:
        _learned(change)
    assert type(caught.value).__module__.startswith("pinn_")

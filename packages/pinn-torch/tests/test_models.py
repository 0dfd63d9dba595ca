"""The two models of an archive: exact inputs and outputs, and what a reconstruction computes."""

from __future__ import annotations

import inspect
from dataclasses import fields

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pinn_archive.errors import ArchiveNotFoundError
from pinn_archive.reader import read_archive
from pinn_archive.writer import write_archive
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_data.grouping.group_rows import neighbour_options
from pinn_data.grouping.groups import group
from pinn_data.optics.forward_model import diffraction_amplitude
from pinn_data.optics.probe import probe_modes
from pinn_data.scan.positions import split_subpixel
from pinn_torch.archive.model_archive import load_model, save_model
from pinn_torch.errors import ModelArchiveError
from pinn_torch.model.module import PtychoPINN_Lightning
from pinn_torch.model.network import read_weights, write_weights
from pinn_torch.models import Autoencoder, DiffractionToObject, load_models, models_of
from pinn_torch.training.datamodule import PatternStack
from torch_scans import ARCHITECTURES, network_image, options_of, small_network, small_scan, two_modes

_INPUTS = ["x", "positions", "probe", "input_scale_factor"]


def _module(gridsize, architecture="cnn", *, modes=1, sigma=0.0, mask=False, gain=1.3):
    """A module with random weights that all count, and a learned gain."""
    model = ModelConfig(
        architecture=architecture,
        gridsize=gridsize,
        n_filters_scale=1,
        gaussian_smoothing_sigma=sigma,
        probe_mask=mask,
        **options_of(architecture) | ({} if gridsize > 1 else {"decoder_last_amp_channels": None}),
    )
    probe = torch.from_numpy(two_modes(64)[:modes]).to(torch.complex64)
    module = PtychoPINN_Lightning(model, probe, 11.0).eval()
    module.network = small_network(architecture, gridsize, **_options(model))
    with torch.no_grad():
        module.log_intensity_scale += np.log(gain)
    return module


def _options(model):
    left = {"N", "gridsize", "n_filters_scale", "architecture"}
    return {item.name: getattr(model, item.name) for item in fields(ModelConfig) if item.name not in left}


def _inputs(groups, channels, *, seed=0, spread=9.0, modes=None):
    """Amplitudes of any unit, offsets with another spread in x than in y, a probe of any energy."""
    rng = np.random.default_rng(seed)
    relative = rng.uniform(-1, 1, (groups, channels, 1, 2)) * np.array([spread, 0.6 * spread])
    relative -= relative.mean(1, keepdims=True)
    probe = 3.7 * two_modes(64)[: modes or 1]
    return {
        "x": torch.from_numpy(rng.gamma(1.0, 2.0, (groups, channels, 64, 64)).astype(np.float32)),
        "positions": torch.from_numpy(relative.astype(np.float32)),
        "probe": torch.from_numpy(probe if modes else probe[0]).to(torch.complex64),
        "input_scale_factor": torch.from_numpy(rng.uniform(0.2, 0.4, groups).astype(np.float32)),
    }


# Shapes and dtypes


@pytest.mark.parametrize("gridsize", [1, 2, 3])
@pytest.mark.parametrize("modes", [None, 1, 2])
def test_inputs_and_outputs_are_those_of_the_specification(gridsize, modes):
    models = models_of(_module(gridsize))
    inputs = _inputs(2, gridsize**2, modes=modes)
    shape = (2, gridsize**2, 64, 64)
    with torch.inference_mode():
        patches = models["diffraction_to_obj"](**inputs)
        prediction = models["autoencoder"](**inputs)
    assert patches.shape == shape and patches.dtype == torch.complex64
    assert torch.equal(prediction.object_patches, patches)
    for name in ("pred_amp", "pred_intensity"):
        value = getattr(prediction, name)
        assert value.shape == shape and value.dtype == torch.float32 and (value >= 0).all()
    torch.testing.assert_close(prediction.pred_amp**2, prediction.pred_intensity)
    assert prediction._fields == ("object_patches", "pred_amp", "pred_intensity")


@pytest.mark.parametrize("model", [DiffractionToObject, Autoencoder])
def test_the_names_of_the_inputs_are_those_of_the_specification(model):
    assert list(inspect.signature(model.forward).parameters)[1:] == _INPUTS


def test_every_form_of_an_input_says_the_same():
    model = models_of(_module(2))["autoencoder"]
    inputs = _inputs(3, 4, modes=2)
    per_pattern = inputs["probe"].expand(3, 4, 2, 64, 64)
    scale = inputs["input_scale_factor"].view(3, 1, 1, 1)
    with torch.inference_mode():
        plain = model(**inputs)
        other = model(**inputs | {"probe": per_pattern, "input_scale_factor": scale})
        one = model(**inputs | {"probe": inputs["probe"][0]})
        modes = model(**inputs | {"probe": inputs["probe"][:1]})
    for name in plain._fields:
        torch.testing.assert_close(getattr(other, name), getattr(plain, name), rtol=1e-4, atol=1e-4)
        assert torch.equal(getattr(one, name), getattr(modes, name))


@pytest.mark.parametrize(
    ("name", "wrong", "says"),
    [
        (
            "x",
            lambda v: v.double(),
            r"x is torch.float64 \[2, 4, 64, 64\], .* torch.float32 \[B, 4, 64, 64\]",
        ),
        ("x", lambda v: v[:, :1], r"x is .* \[2, 1, 64, 64\], but must be"),
        ("x", lambda v: v.movedim(1, -1), r"x is .* \[2, 64, 64, 4\], but must be"),
        ("x", lambda v: v[..., :32, :32], r"x is .* \[2, 4, 32, 32\], but must be"),
        ("x", lambda v: v[:0], r"x is .* \[0, 4, 64, 64\], but must be"),
        ("x", lambda v: v.numpy(), r"x is a ndarray, but must be a torch.Tensor \[B, 4, 64, 64\]"),
        (
            "positions",
            lambda v: v.double(),
            r"positions is torch.float64 .* torch.float32 \[B, 4, 1, 2\]",
        ),
        ("positions", lambda v: v.movedim(1, -1), r"positions is .* \[2, 1, 2, 4\], but must be"),
        ("positions", lambda v: v[:1], r"positions is .* \[1, 4, 1, 2\], but must be .*, with B = 2 groups"),
        ("positions", lambda v: v / 0, "some positions are not finite: "),
        ("positions", lambda v: v * 1e5, "lie up to .* pixels apart, but a canvas has at most 8192: "),
        ("probe", lambda v: v.real.clone(), r"probe is torch.float32 .* torch.complex64 \[64, 64\], \[modes"),
        ("probe", lambda v: v.to(torch.complex128), "probe is torch.complex128"),
        ("probe", lambda v: v[:32, :32], r"probe is .* \[32, 32\]"),
        ("probe", lambda v: v.expand(2, 1, 1, 64, 64), r"probe is .* \[2, 1, 1, 64, 64\]"),
        ("probe", lambda v: 0 * v, "the probe is dark or not finite: "),
        ("input_scale_factor", lambda v: v[0], r"input_scale_factor is .* \[\], but must be"),
        ("input_scale_factor", lambda v: v[:, None], r"input_scale_factor is .* \[2, 1\], but must be"),
        ("input_scale_factor", lambda v: 0.3, "input_scale_factor is a float, but must be a torch.Tensor"),
    ],
)
@pytest.mark.parametrize("model", ["diffraction_to_obj", "autoencoder"])
def test_other_inputs_are_refused_in_one_sentence(model, name, wrong, says):
    built, inputs = models_of(_module(2))[model], _inputs(2, 4)
    with pytest.raises(ValueError, match=says) as caught:
        built(**inputs | {name: wrong(inputs[name])})
    assert "\n" not in str(caught.value) and ": " in str(caught.value)


# What they compute


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("gridsize", [1, 2])
def test_the_prediction_is_the_diffraction_of_the_patches_with_the_probe_that_was_given(
    architecture, gridsize
):
    """By the NumPy oracle: the fraction of a position is on the probe, the whole part in the patch."""
    built = models_of(_module(gridsize, architecture, modes=2, sigma=0.7))["autoencoder"]
    inputs = _inputs(2, gridsize**2, modes=2)
    with torch.inference_mode():
        prediction = built(**inputs)
    relative = -inputs["positions"].double().numpy()[:, :, 0, ::-1]
    _, fractions = split_subpixel(relative.reshape(-1, 2))
    patches = prediction.object_patches.numpy().reshape(-1, 64, 64)
    for patch, fraction, amplitude in zip(
        patches, fractions, prediction.pred_amp.numpy().reshape(-1, 64, 64), strict=True
    ):
        expected = diffraction_amplitude(
            patch, inputs["probe"].numpy(), 32 + fraction[None], smoothing_sigma=0.7
        )[0]
        np.testing.assert_allclose(amplitude, expected, atol=2e-4 * expected.max())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_groups_together_equal_groups_one_by_one_whatever_their_canvas(architecture):
    built = models_of(_module(2, architecture))["autoencoder"]
    parts = [_inputs(1, 4, seed=seed, spread=spread) for seed, spread in enumerate([2.0, 40.0, 9.0, 2.0])]
    parts = [p | {"probe": parts[0]["probe"]} for p in parts]
    together = {
        name: parts[0][name] if name == "probe" else torch.cat([p[name] for p in parts]) for name in _INPUTS
    }
    with torch.inference_mode():
        all_ = built(**together)
        for i, part in enumerate(parts):
            for name, alone in built(**part)._asdict().items():
                scale = alone.abs().max()
                torch.testing.assert_close(getattr(all_, name)[[i]], alone, rtol=0, atol=2e-4 * scale)


def test_patterns_of_one_place_have_one_patch_and_overlapping_patches_agree():
    """A group has one canvas: positions say which part of it a pattern sees."""
    built = models_of(_module(2, "unrolled"))["diffraction_to_obj"]
    inputs = _inputs(1, 4)
    inputs["positions"] = torch.tensor([[0, 0], [0, 0], [-7, 3], [5, -20]], dtype=torch.float32)[
        None, :, None
    ]
    with torch.inference_mode():
        patches = built(**inputs)[0]
    assert torch.equal(patches[0], patches[1])
    # (x, y) = (-7, 3) is a scan position 7 pixels to the right of the mean and 3 above it.
    assert torch.equal(patches[2][3:, :-7], patches[0][:-3, 7:])
    assert torch.equal(patches[3][:-20, 5:], patches[0][20:, :-5])


@given(seed=st.integers(0, 1000), factor=st.floats(0.1, 10))
def test_units_of_x_and_of_the_probe_are_units_of_the_object(seed, factor):
    built = models_of(_module(1))["autoencoder"]
    inputs = _inputs(2, 1, seed=seed)
    scaled = inputs | {
        "x": inputs["x"] * factor,
        "input_scale_factor": inputs["input_scale_factor"] / factor,
        "probe": inputs["probe"] * 2j,
    }
    with torch.inference_mode():
        here, there = built(**inputs), built(**scaled)
    torch.testing.assert_close(there.pred_amp, here.pred_amp * factor, rtol=1e-4, atol=1e-4 * factor)
    before, after = (p.object_patches.abs().mean().item() for p in (here, there))
    assert after == pytest.approx(before * factor / 2, rel=1e-3)


def _scans(gridsize):
    """Scans of one group each, with fractions that the group's mean does not have; members in the order in
    which a reconstruction takes them."""
    steps = np.array([[0, 0], [0.25, 9.5], [11.75, -0.5], [12.0, 11.0]])[: gridsize**2]
    scan = small_scan(modes=2)
    for first, shift in enumerate([(0, 0), (6, 3), (14, 10)]):
        positions = 50.0 + np.array(shift) + steps
        one = attrs.evolve(scan.select(first + np.arange(gridsize**2)), positions=positions, object=None)
        assert np.array_equal(positions.mean(0), np.round(positions.mean(0)))
        options = neighbour_options(InferenceConfig(ModelConfig(gridsize=gridsize)), gridsize)
        (order,) = group(positions, gridsize, n_groups=1, seed=0, **options).indices
        yield one, order


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("gridsize", [1, 2])
@pytest.mark.parametrize("mask", [False, True])
def test_they_compute_what_a_reconstruction_computes(tmp_path, architecture, gridsize, mask):
    module = _module(gridsize, architecture, modes=2, mask=mask)
    archive = _saved(tmp_path, module)
    scans = list(_scans(gridsize))
    relative = [scan.positions[order] - scan.positions.mean(0) for scan, order in scans]
    with torch.inference_mode():
        prediction = load_models(archive)["autoencoder"](
            torch.from_numpy(np.stack([scan.amplitude()[order] for scan, order in scans]).astype(np.float32)),
            torch.from_numpy(-np.stack(relative)[:, :, None, ::-1].astype(np.float32)),
            torch.from_numpy(probe_modes(scans[0][0].probe)).to(torch.complex64),
            torch.tensor([PatternStack(scan).scale for scan, _ in scans], dtype=torch.float32),
        )
    config = InferenceConfig(module.model, n_groups=1)
    for i, (scan, order) in enumerate(scans):
        made = network_image(archive, scan, config)
        for j, frame in enumerate(order):
            row, column = np.floor(scan.positions[frame]).astype(int) - 32 - np.array(made.canvas.origin)
            cut = made.object[row : row + 64, column : column + 64]
            ours = prediction.object_patches[i, j].numpy()
            lit = np.abs(cut) > 0
            assert lit.sum() > 700
            turn = np.vdot(ours[lit], cut[lit])  # a pattern does not tell the global phase
            # Both normalise the probe, by two ways; untrained steps of the physics amplify its last bit.
            np.testing.assert_allclose(ours[lit] * turn / abs(turn), cut[lit], atol=5e-4 * np.abs(cut).max())
            # A reconstruction drops what is hardly lit.
            expected = made.predict_amplitude(frame)
            misfit = np.linalg.norm(prediction.pred_amp[i, j].numpy() - expected)
            assert misfit < 0.05 * np.linalg.norm(expected)


# The settings of the network


@pytest.mark.parametrize(
    "setting",
    [
        {"object_big": False},
        {"probe_big": False},
        {"pad_object": False},
        {"probe_mask": True},
        {"probe_scale": 3.0},
        {"n_filters_scale": 2},
        {"amp_activation": "swish"},
        {"amp_activation": "softplus"},
        {"amp_activation": "relu"},
        {"gaussian_smoothing_sigma": 0.6},
    ],
    ids=lambda setting: "{}={}".format(*next(iter(setting.items()))),
)
def test_every_setting_changes_what_the_cnn_predicts(setting):
    """With the same weights, wherever both networks have them."""
    plain, other = (
        PtychoPINN_Lightning(
            ModelConfig(**{"gridsize": 2, "n_filters_scale": 1} | changed),
            torch.from_numpy(two_modes(64)).to(torch.complex64),
            11.0,
        ).eval()
        for changed in ({}, setting)
    )
    rng = np.random.default_rng(0)
    weights = {
        name: rng.normal(0, 0.08, shape).astype(np.float32)
        for name, shape in plain.network.description.parameters().items()
    }
    read_weights(plain.network, weights)
    own = write_weights(other.network)
    known = {name: w for name, w in weights.items() if name in own and own[name].shape == w.shape}
    assert ("encoder0/conv1/kernel" in known) == ("n_filters_scale" not in setting)
    read_weights(other.network, own | known)
    inputs = _inputs(2, 4, modes=2)
    with torch.inference_mode():
        one, two = (models_of(module)["autoencoder"](**inputs).pred_amp for module in (plain, other))
    assert (one - two).norm() > 0.01 * one.norm()


# The archive


def _saved(folder, module):
    return save_model(folder, module, TrainingConfig(module.model), None, {})


@pytest.mark.parametrize("gridsize", [1, 2, 3])
def test_loading_a_bundle_gives_both_models_as_they_were(tmp_path, gridsize):
    module = _module(gridsize)
    models = load_models(_saved(tmp_path, module))
    assert list(models) == ["diffraction_to_obj", "autoencoder"]
    assert not any(model.training for model in models.values())
    inputs = _inputs(2, gridsize**2)
    with torch.inference_mode():
        expected = models_of(module)["autoencoder"](**inputs)
        assert torch.equal(models["diffraction_to_obj"](**inputs), expected.object_patches)
        for ours, theirs in zip(models["autoencoder"](**inputs), expected, strict=True):
            assert torch.equal(ours, theirs)
    assert (models["autoencoder"].N, models["autoencoder"].channels) == (64, gridsize**2)


def test_a_trained_module_gives_both_models(trained):
    opened = load_model(trained("cnn", 2)).module
    inputs = _inputs(2, 4)
    with torch.inference_mode():
        first = models_of(opened)["diffraction_to_obj"](**inputs)
        second = load_models(trained("cnn", 2))["diffraction_to_obj"](**inputs)
    assert torch.equal(first, second)


def test_the_autoencoder_can_learn():
    model = models_of(_module(2))["autoencoder"].train()
    inputs = _inputs(2, 4)
    (model(**inputs).pred_intensity - inputs["x"] ** 2).square().mean().backward()
    learned = [p for p in model.module.network.parameters() if p.grad is not None and p.grad.abs().max() > 0]
    assert len(learned) == len(list(model.module.network.parameters()))


def test_a_bundle_without_both_models_is_refused(tmp_path, trained):
    archive = read_archive(trained())
    parts = {name: getattr(archive, name) for name in ("params", "arrays", "backend", "provenance")}
    whole = dict(archive.models)
    other = {n: w + 1 for n, w in whole["autoencoder"].weights.items()}
    payload = type(whole["autoencoder"])
    for number, (models, says) in enumerate(
        [
            ({"diffraction_to_obj": whole["diffraction_to_obj"]}, "but not 'autoencoder': "),
            ({"autoencoder": whole["autoencoder"]}, "but not 'diffraction_to_obj': "),
            (whole | {"autoencoder": payload(other)}, "have different weights"),
        ]
    ):
        path = write_archive(tmp_path / str(number), models=models, **parts)
        with pytest.raises(ModelArchiveError, match=says):
            load_models(path)
    with pytest.raises(ArchiveNotFoundError):
        load_models(tmp_path)

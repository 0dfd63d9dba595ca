"""Side by side: what ptychography leaves free makes no difference, and neither does the order."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread
from pinn_data.simulation.simulate import picture_object
from pinn_dispatch.compare.side_by_side import lay_side_by_side
from pinn_dispatch.errors import DispatchError
from pinn_dispatch.figures.side_by_side_figure import side_by_side_figure
from pinn_dispatch.reconstruction import Image

TRUTH = picture_object("coins", "camera", 96)
POSITIONS = np.array([[14.0, 17.0], [82.0, 78.0], [30.5, 41.2]])


def _image(y=0, x=0, height=96, width=96, noise=0.0, seed=0):
    """A part of the truth at its place, with noise."""
    dust = np.random.default_rng(seed).normal(size=(height, width, 2)) @ [1, 1j]
    return Image(TRUTH[y : y + height, x : x + width] + noise * dust, (float(y), float(x)), POSITIONS)


def _ambiguous(image, phase, scale, ramp):
    y, x = (np.arange(size) for size in image.image.shape)
    free = scale * np.exp(1j * (phase + ramp[0] * y[:, None] + ramp[1] * x))
    return attrs.evolve(image, image=image.image * free)


def _scored(panel, score):
    return [panel.scores[f"{score}_{part}"] for part in ("phase", "amp")]


slopes = st.floats(-0.1, 0.1)


@settings(max_examples=5)
@given(st.integers(0, 8), st.integers(0, 8), st.floats(-3, 3), st.floats(0.2, 5.0), st.tuples(slopes, slopes))
def test_what_is_free_makes_no_difference(y, x, phase, scale, ramp):
    """On another canvas, with another constant and ramp, it agrees with itself in everything."""
    copy = _ambiguous(_image(y, x, 86, 84), phase, scale, ramp)
    for compared in (
        lay_side_by_side({"one": _image(), "copy": copy}),
        lay_side_by_side({"copy": copy}, Image(TRUTH)),
    ):
        panel = compared.panels["copy"]
        for score in ("frc50", "frc17"):
            assert _scored(panel, score) == [1.0, 1.0]
        assert np.allclose(_scored(panel, "corr"), 1, atol=1e-5)
        assert np.allclose(panel.scores["offset"], 0, atol=0.021)
    assert np.allclose(_scored(panel, "ssim"), 1, atol=1e-3)
    assert np.allclose(panel.phase, compared.reference.phase, atol=0.01)
    assert np.allclose(panel.amplitude, compared.reference.amplitude, atol=0.01)


@settings(max_examples=5)
@given(st.integers(-9, 9), st.integers(-9, 9))
def test_a_shift_against_what_the_file_says_is_found(y, x):
    """The copy tells a wrong place; the field of view is what both cover at the right one."""
    wrong = attrs.evolve(_image(), origin=(float(y), float(x)), positions=POSITIONS + np.array([y, x]))
    compared = lay_side_by_side({"one": _image(), "copy": wrong})
    panel = compared.panels["copy"]
    assert np.allclose(panel.scores["offset"], (-y, -x), atol=0.02)
    assert np.allclose(_scored(panel, "corr"), 1, atol=1e-3)
    right = lay_side_by_side({"one": _image(), "copy": _image()}).box
    assert np.abs(np.subtract(compared.box, right)).max() <= 1  # a shift of 0.01 px may cost a pixel


def test_where_files_count_from_elsewhere_the_place_is_searched_for():
    far = attrs.evolve(
        _image(6, 9, 84, 82), origin=(500.0, -300.0), positions=POSITIONS + np.array([494, -309])
    )
    with pytest.raises(DispatchError, match="--search"):
        lay_side_by_side({"one": _image(), "far": far})
    compared = lay_side_by_side({"one": _image(), "far": far}, search=True)
    assert np.allclose(_scored(compared.panels["far"], "corr"), 1, atol=1e-3)
    assert np.allclose(compared.panels["far"].scores["offset"], (-494, 309), atol=0.02)


@pytest.mark.parametrize("order", [["c", "a", "b"], ["b", "c", "a"]])
def test_the_order_only_permutes(order):
    images = {
        "a": _image(noise=0.02, seed=1),
        "b": _image(3, 1, 90, 92, noise=0.05, seed=2),
        "c": _ambiguous(_image(noise=0.1, seed=3), 1.0, 2.0, (0.02, -0.05)),
    }
    sorted_ = lay_side_by_side(images, Image(TRUTH))
    other = lay_side_by_side({name: images[name] for name in order}, Image(TRUTH))
    assert (list(other.panels), other.box) == (order, sorted_.box)
    for name in order:
        assert other.panels[name].scores == sorted_.panels[name].scores
        assert np.array_equal(other.panels[name].phase, sorted_.panels[name].phase)
    among_themselves = lay_side_by_side({name: images[name] for name in order})
    assert (list(among_themselves.panels), among_themselves.box) == (order, sorted_.box)


def test_exchanging_the_first_and_the_second_leaves_their_agreement():
    a, b = _image(noise=0.05, seed=1), _image(noise=0.08, seed=2)
    ab, ba = lay_side_by_side({"a": a, "b": b}).panels["b"], lay_side_by_side({"b": b, "a": a}).panels["a"]
    for score in ("frc50", "corr", "frcauc"):
        assert np.allclose(_scored(ab, score), _scored(ba, score), atol=0.03)
    assert all(0.05 < value < 0.95 for value in _scored(ab, "frc50"))


@pytest.mark.parametrize("reference", [None, Image(TRUTH)])
def test_transposed_images_make_a_transposed_figure(reference):
    images = {
        "a": _image(0, 4, 90, 88, 0.03, 1),
        "b": _ambiguous(_image(2, 0, 88, 92, 0.06, 2), 1, 3, (0.04, -0.02)),
    }

    def turned(image):
        positions = None if image.positions is None else image.positions[:, ::-1]
        return Image(image.image.T, image.origin[::-1], positions)

    upright = lay_side_by_side(images, reference)
    lying = lay_side_by_side(
        {name: turned(i) for name, i in images.items()}, None if reference is None else turned(reference)
    )
    assert lying.box == upright.box[2:] + upright.box[:2]
    for name, panel in upright.panels.items():
        assert np.allclose(lying.panels[name].phase, panel.phase.T, atol=0.02)
        assert np.allclose(lying.panels[name].amplitude, panel.amplitude.T, atol=0.02)
        assert np.allclose(_scored(lying.panels[name], "corr"), _scored(panel, "corr"), atol=0.01)


def test_more_noise_scores_lower():
    noisy = {str(level): _image(noise=level, seed=4) for level in (0.02, 0.1, 0.3)}
    panels = list(lay_side_by_side(noisy, Image(TRUTH)).panels.values())
    for score in ("ssim", "corr", "psnr"):
        for part in ("phase", "amp"):
            values = [panel.scores[f"{score}_{part}"] for panel in panels]
            assert values == sorted(values, reverse=True) and values[0] > values[-1]


def test_a_region_is_what_was_asked_for_or_refused():
    compared = lay_side_by_side({"a": _image(), "b": _image()}, box=(20, 60, 30, 80))
    assert compared.box == (20, 60, 30, 80) and compared.panels["a"].phase.shape == (40, 50)
    for box, words in {(20, 99, 30, 80): "reaches outside", (20, 30, 30, 80): "at least"}.items():
        with pytest.raises(DispatchError, match=words):
            lay_side_by_side({"a": _image(), "b": _image()}, box=box)


def test_what_cannot_be_laid_side_by_side():
    with pytest.raises(DispatchError, match="needs two"):
        lay_side_by_side({"a": _image()})
    fine, coarse = (attrs.evolve(_image(), pixel_size_m=(size, size)) for size in (1e-8, 2e-8))
    with pytest.raises(DispatchError, match=r"of b is 20 x 20 nm, but of a 10 x 10 nm"):
        lay_side_by_side({"a": fine, "b": coarse, "c": _image()})


@pytest.mark.parametrize("count", [1, 6])
def test_the_figure_grows_with_what_it_shows(count, tmp_path):
    images = {f"a rather long name of number {i}": _image(noise=0.05, seed=i) for i in range(count)}
    compared = lay_side_by_side(images, Image(TRUTH))
    path = side_by_side_figure(tmp_path / "a.png", compared, "a line")
    image = imread(path)
    assert image.shape[0] > (800 if count > 4 else 450) and image.shape[1] > 900
    assert not (image[[0, -1], :, :3] < 0.9).any() and not (image[:, [0, -1], :3] < 0.9).any()  # nothing cut
    if count == 1:
        assert path.read_bytes() == side_by_side_figure(tmp_path / "b.png", compared, "a line").read_bytes()

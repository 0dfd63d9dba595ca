"""Batches are rows of one stack: equal to direct indexing, never a copy, in the unit of a network."""

from __future__ import annotations

import logging

import attrs
import numpy as np
import pytest
from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_data.errors import DataRangeError, LabelError
from pinn_data.grouping.pattern_stack import PatternStack, labels_for, report_overruled
from pinn_data.scan.diffraction import normalisation
from pinn_data.scan.positions import split_subpixel
from pinn_data.testing import noise_free, small_scan


def _as_unit(scan, unit, dtype):
    stack = scan.amplitude() if unit == "amplitude" else scan.counts()
    return attrs.evolve(scan, diffraction=stack.astype(dtype), unit=unit)


@pytest.mark.parametrize(
    ("unit", "dtype"),
    [
        ("counts", np.uint16),
        ("counts", ">u4"),
        ("counts", np.float32),
        ("intensity", np.float64),
        ("amplitude", np.float32),
        ("amplitude", np.float64),
    ],
)
def test_a_batch_equals_direct_indexing_in_every_unit_and_dtype(unit, dtype):
    scan = _as_unit(small_scan(), unit, dtype)
    rows = np.array([[3, 0, 7, 11], [5, 5, 2, 9], [0, 1, 2, 3]])
    batch = PatternStack(scan).batch(rows)
    amplitude = np.sqrt(small_scan().counts().astype(np.float64))
    expected = amplitude[rows] * normalisation(amplitude)
    assert batch["amplitude"].dtype == np.float32
    np.testing.assert_allclose(batch["amplitude"], expected, rtol=1e-5, atol=1e-6)
    whole, fraction = split_subpixel(scan.positions)
    assert np.array_equal(batch["centres"], whole[rows])
    np.testing.assert_allclose(batch["fractions"], fraction[rows], atol=1e-7)


@pytest.mark.parametrize(("unit", "dtype"), [("counts", np.uint16), ("amplitude", np.float32)])
def test_the_stack_is_neither_copied_nor_changed(unit, dtype):
    scan = _as_unit(small_scan(), unit, dtype)
    before = scan.diffraction.copy()
    stack = PatternStack(scan)
    assert np.shares_memory(stack.diffraction, scan.diffraction)
    for rows in (np.arange(12)[:, None], np.arange(12)):
        batch = stack.batch(rows)
        assert not np.shares_memory(batch["amplitude"], scan.diffraction)
    assert np.array_equal(scan.diffraction, before)


def test_the_mean_energy_of_a_pattern_is_a_quarter_of_its_pixels():
    scan = small_scan()
    batch = PatternStack(scan).batch(np.arange(12)[:, None])
    energy = (batch["amplitude"].astype(float) ** 2).sum((-2, -1)).mean()
    assert energy == pytest.approx((scan.N / 2) ** 2, rel=1e-5)


def test_dark_patterns_are_refused():
    scan = small_scan()
    dark = attrs.evolve(scan, diffraction=np.zeros_like(scan.diffraction))
    with pytest.raises(DataRangeError, match="all diffraction patterns are empty"):
        PatternStack(dark)


@pytest.mark.parametrize("unit", ["counts", "amplitude"])
def test_counts_are_measured_and_other_patterns_take_the_photons_that_are_given(unit):
    scan = _as_unit(small_scan(), unit, np.float32)
    for stack in (PatternStack(scan), PatternStack(scan, nphotons=3e3)):
        assert stack.nphotons == pytest.approx(scan.nphotons)
    other = noise_free(scan)
    for given, taken in ((None, other.nphotons), (3e3, 3e3)):
        stack = PatternStack(other, nphotons=given)
        assert stack.nphotons == pytest.approx(taken)
        energy = (stack.batch(np.arange(12)[:, None])["amplitude"].astype(float) ** 2).sum((-2, -1)).mean()
        assert energy * stack.intensity_scale**2 == pytest.approx(taken, rel=1e-5)


@pytest.mark.parametrize(
    ("nphotons", "warns"), [(1e9, False), (1e5, False), (1.9e5, False), (2.2e5, True), (4e4, True)]
)
def test_a_number_of_photons_that_the_counts_belie_is_reported(caplog, nphotons, warns):
    config = TrainingConfig(ModelConfig(N=64), nphotons=nphotons)
    with caplog.at_level(logging.INFO):
        report_overruled(small_scan(), config)
    assert [r.levelname for r in caplog.records] == ["WARNING"] * warns
    caplog.clear()
    with caplog.at_level(logging.INFO):
        report_overruled(noise_free(small_scan()), config)
    assert [r.levelname for r in caplog.records] == ["INFO"]


def test_positions_that_are_denied_are_told_in_one_line(caplog):
    report_overruled(small_scan(), TrainingConfig(ModelConfig(N=64), positions_provided=False))
    (record,) = caplog.records
    assert record.levelname == "WARNING" and "\n" not in record.getMessage()
    assert record.getMessage().startswith("positions_provided=False has no effect: ")


def test_labels_come_where_the_objective_needs_them():
    scan, model = small_scan(), ModelConfig(N=64)
    assert labels_for(scan, TrainingConfig(model)) is None
    needs = [
        (TrainingConfig(ModelConfig(N=64, model_type="supervised")), "model_type='supervised'"),
        (TrainingConfig(model, realspace_weight=1.0, realspace_mae_weight=0.5), "realspace_mae_weight=0.5"),
    ]
    rows = np.arange(6).reshape(2, 3)
    for config, why in needs:
        stack = PatternStack(scan, labels_for(scan, config))
        assert stack.batch(rows)["labels"].shape == (2, 3, 64, 64)
        with pytest.raises(LabelError, match=f"^{why} learns from the object"):
            labels_for(attrs.evolve(scan, object=None), config)


@pytest.mark.parametrize("per_frame", [False, True])
def test_a_mask_and_a_background_leave_the_scale_of_the_light_alone(per_frame):
    """Energy is what diffraction brings to the whole detector, whether all of it was measured or not."""
    scan = noise_free(small_scan())
    rng = np.random.default_rng(0)
    N, plain = scan.N, PatternStack(scan)
    bad = rng.random((len(scan), N, N) if per_frame else (N, N)) < 0.2
    bad &= np.arange(N) % 3 == 0
    counts = scan.counts() + 3.0
    masked = attrs.evolve(scan, diffraction=counts, unit="intensity", bad_pixels=bad, background=3.0)
    stack, rows = PatternStack(masked), np.array([[3, 0], [5, 7]])
    assert stack.scale == pytest.approx(plain.scale, rel=0.05)
    batch = stack.batch(rows)
    expected = np.broadcast_to(bad, (len(scan), N, N))[rows]
    assert np.array_equal(batch["measured"] == 0, expected) and not batch["amplitude"][expected].any()
    np.testing.assert_allclose(batch["stray"], np.full((1, 1, N, N), 3 * stack.scale**2), rtol=1e-6)

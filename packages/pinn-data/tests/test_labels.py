"""Labels are the object under each pattern, not mirrored, in the unit that explains what was measured."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
from pinn_data.errors import LabelError
from pinn_data.grouping.labels import ObjectLabels
from pinn_data.grouping.pattern_stack import PatternStack
from pinn_data.testing import noise_free, small_scan

ROWS = np.array([[0, 1, 3, 4, 6], [11, 2, 5, 8, 7]])


def _cut(scan, rows):
    corners = np.floor(scan.positions).astype(int) - scan.N // 2
    cuts = [scan.object[r : r + scan.N, c : c + scan.N] for r, c in corners[rows.ravel()]]
    return np.stack(cuts).reshape(*rows.shape, scan.N, scan.N)


def test_a_label_is_the_patch_at_the_floor_of_its_position():
    scan = small_scan()
    labels = ObjectLabels(scan, "it")
    patches = labels.patches(ROWS)
    assert patches.dtype == np.complex64
    np.testing.assert_allclose(patches, labels.scale * _cut(scan, ROWS), rtol=1e-5)
    batch = PatternStack(scan, labels).batch(ROWS)
    assert np.array_equal(batch["labels"], patches)
    assert "labels" not in PatternStack(scan).batch(ROWS)


def test_an_empty_object_is_one():
    scan = noise_free(attrs.evolve(small_scan(), object=np.full_like(small_scan().object, 0.3j)))
    patches = ObjectLabels(scan, "it").patches(ROWS)
    np.testing.assert_allclose(patches, 1j, rtol=1e-4)


def test_a_scan_without_an_object_is_refused_in_one_sentence():
    scan = attrs.evolve(small_scan(), object=None)
    with pytest.raises(LabelError, match=r"it learns from the object .* the scan has none: add") as e:
        ObjectLabels(scan, "it")
    assert "\n" not in str(e.value)
    with pytest.raises(LabelError, match=r"train.npz has none"):
        ObjectLabels(attrs.evolve(scan, source=Path("/data/train.npz")), "it")


def test_an_object_that_is_too_small_or_dark_is_refused():
    scan = small_scan()
    with pytest.raises(ValueError, match="reach outside the object"):
        ObjectLabels(attrs.evolve(scan, object=scan.object[:70]), "it")
    with pytest.raises(LabelError, match="zero wherever the probe illuminates it"):
        ObjectLabels(attrs.evolve(scan, object=np.zeros_like(scan.object)), "it")

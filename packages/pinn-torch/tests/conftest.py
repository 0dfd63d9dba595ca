"""Hypothesis profile, the measured scan, and models that were trained once for all tests of this package."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from torch_scans import small_scan, small_training

settings.register_profile(
    "pinn-torch",
    deadline=None,  # a shared machine has slow moments
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("pinn-torch")

# <root>/packages/pinn-torch/tests/conftest.py -> <root>/../shared/data
_DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"


@pytest.fixture(scope="session")
def siemens_star() -> Path:
    """The NPZ file of the measured Siemens star, which lies beside the repository."""
    folder = _DATA / "siemens_star"
    if not folder.is_dir():
        pytest.skip(f"the measured scan is not here: {folder} does not exist")
    return folder / "siemens_star_128.npz"


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """``trained(architecture, gridsize)``: the archive of a short training on `small_scan()`, made once."""
    archives: dict[tuple[str, int], Path] = {}

    def archive(architecture: str = "unrolled", gridsize: int = 1) -> Path:
        key = (architecture, gridsize)
        if key not in archives:
            folder = tmp_path_factory.mktemp(f"{architecture}{gridsize}")
            archives[key] = small_training(
                folder, small_scan(), architecture=architecture, gridsize=gridsize, learning_rate=0.05
            ).archive
        return archives[key]

    return archive

"""Hypothesis profile and the measured scan, for all tests of this package."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "pinn-data",
    deadline=None,  # a shared machine has slow moments
    max_examples=25,
    # A fixture that only hands out an empty folder may serve all examples.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("pinn-data")

# <root>/packages/pinn-data/tests/conftest.py -> <root>/../shared/data
_DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"


@pytest.fixture(scope="session")
def siemens_star() -> Path:
    """The NPZ file of the measured Siemens star, which lies beside the repository."""
    folder = _DATA / "siemens_star"
    if not folder.is_dir():
        pytest.skip(f"the measured scan is not here: {folder} does not exist")
    return folder / "siemens_star_128.npz"


@pytest.fixture(scope="session")
def only_sentence():
    """Checks a message: one line, unquoted, that names the file and offers a way out behind a colon."""

    def check(caught, path):
        text = str(caught.value)
        assert "\n" not in text
        assert str(path) in text
        assert ": " in text.replace(f"{path}: ", "")
        assert not text.startswith(("'", '"'))

    return check


@pytest.fixture(scope="session")
def petra() -> Path:
    """The CXI file of a measured near field, which lies beside the repository."""
    folder = _DATA / "petra_near_field"
    if not folder.is_dir():
        pytest.skip(f"the measured near field is not here: {folder} does not exist")
    return folder / "PETRAIII_P25_Near_Field_Ptycho.cxi"

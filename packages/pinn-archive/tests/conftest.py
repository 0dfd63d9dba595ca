"""The profile of the laws, and a small archive."""

from __future__ import annotations

from pathlib import Path

import pytest
from archive_contents import small_content
from hypothesis import HealthCheck, settings
from pinn_archive import write_archive

settings.register_profile(
    "local", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("local")


@pytest.fixture
def archive_file(tmp_path: Path) -> Path:
    """A small archive."""
    return write_archive(tmp_path / "made", **small_content())

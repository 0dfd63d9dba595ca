"""The profile of the laws, and the global dictionary as in a new process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from pinn_config import legacy

settings.register_profile(
    "local", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("local")


@pytest.fixture
def fresh_cfg() -> Iterator[dict]:
    """The global dictionary as in a new process; afterwards as it was."""
    before = dict(legacy.cfg)
    legacy.cfg.clear()
    legacy.cfg.update(legacy.DEFAULTS)
    yield legacy.cfg
    legacy.cfg.clear()
    legacy.cfg.update(before)

"""Hypothesis profile for all tests of this package."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "pinn-tf",
    deadline=None,  # a shared machine has slow moments
    max_examples=10,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("pinn-tf")

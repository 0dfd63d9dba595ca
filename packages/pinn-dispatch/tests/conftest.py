"""Hypothesis profile, a small simulated scan, and a backend without a framework."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "pinn-dispatch",
    deadline=None,  # a shared machine has slow moments
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("pinn-dispatch")


@pytest.fixture(scope="session")
def scan():
    """36 counted patterns of 16 x 16 with their object."""
    from pinn_data.optics.probe import defocused_probe
    from pinn_data.simulation.simulate import jittered_raster, picture_object, simulate_scan

    truth = picture_object("camera", "moon", 56)
    positions = jittered_raster(truth.shape, 16, 6.0, 1.0, 3)
    return simulate_scan(truth, defocused_probe(16), positions, photons=1e5, rng=4)


@pytest.fixture(scope="session")
def scan_file(scan, tmp_path_factory) -> Path:
    """That scan as NPZ."""
    from pinn_data.files.npz import write_scan

    return write_scan(tmp_path_factory.mktemp("scan") / "scan.npz", scan, unit="counts")


@pytest.fixture
def provide(monkeypatch):
    """provide(name=module text, ...): these entry points of `pinn.backends` exist, with frameworks that do
    too."""
    from pinn_dispatch import registry

    def install(framework_found: bool = True, **values: str) -> None:
        points = [metadata.EntryPoint(name, value, registry.ENTRY_POINTS) for name, value in values.items()]

        others = registry.metadata.entry_points

        def entry_points(*, group, name=None):
            if group != registry.ENTRY_POINTS:  # libraries that look for extensions of their own
                return others(group=group) if name is None else others(group=group, name=name)
            return [point for point in points if name in (None, point.name)]

        monkeypatch.setattr(registry.metadata, "entry_points", entry_points)
        monkeypatch.setattr(registry.util, "find_spec", lambda name: object() if framework_found else None)

    return install


@pytest.fixture
def backend(provide):
    """The backend of `fake_backend` under the name pytorch; the module, its calls forgotten."""
    import fake_backend

    fake_backend.CALLS.clear()
    provide(pytorch="fake_backend")
    return fake_backend


@pytest.fixture
def pinn(capfd):
    """pinn(*arguments) -> (exit code, output, errors) of the command, run in this process."""
    from pinn_dispatch.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        return code, out, err

    return run

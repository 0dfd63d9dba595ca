"""One small training with the real backend, for all contracts between the packages."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "contracts",
    deadline=None,  # a shared machine has slow moments
    max_examples=10,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("contracts")


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


@pytest.fixture(scope="session")
def scan_file(tmp_path_factory) -> Path:
    """A simulated scan of 49 patterns of 64 x 64, counts, with its object."""
    from pinn_dispatch.cli import main

    path = tmp_path_factory.mktemp("scan") / "scan.npz"
    assert main(["simulate", "--output", str(path), "--size", "108", "--seed", "1", "--quiet"]) == 0
    return path


@pytest.fixture(scope="session")
def run_folder(scan_file, tmp_path_factory) -> Path:
    """What `pinn train` leaves after one epoch on that scan."""
    from pinn_dispatch.cli import main

    folder = tmp_path_factory.mktemp("run")
    settings = ["--nepochs", "1", "--accelerator", "cpu", "--logger", "none", "--seed", "3", "--quiet"]
    assert main(["train", "--data", str(scan_file), "--output", str(folder), *settings]) == 0
    return folder


@pytest.fixture(scope="session")
def image_folder(scan_file, run_folder, tmp_path_factory) -> Path:
    """What `pinn infer` leaves for that scan and model, without the solver."""
    from pinn_dispatch.cli import main

    folder = tmp_path_factory.mktemp("image")
    arguments = ["--data", str(scan_file), "--output", str(folder), "--accelerator", "cpu", "--quiet"]
    assert main(["infer", "--model", str(run_folder), *arguments, "--refine", "none"]) == 0
    return folder

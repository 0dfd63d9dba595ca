"""What the six wheels hold and say; `make alone` installs each and runs its tests there."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = {
    "pinn-archive": ["pinn_archive"],
    "pinn-config": ["pinn_config"],
    "pinn-data": ["pinn_data"],
    "pinn-dispatch": ["pinn_dispatch"],
    "pinn-tf": ["pinn_tf", "ptycho"],
    "pinn-torch": ["pinn_torch", "ptycho_torch"],
}
ENTRY_POINTS = {
    "pinn-dispatch": ["[console_scripts]", "pinn = pinn_dispatch.cli:main", "[pinn.dispatch]"],
    "pinn-tf": [
        "[pinn.backends]",
        "tensorflow = ptycho.workflows.components",
        "[pinn.engines]",
        "tensorflow = pinn_tf.solver",
    ],
    "pinn-torch": [
        "[console_scripts]",
        "pinn-torch = pinn_torch.cli:main",
        "[pinn.backends]",
        "pytorch = ptycho_torch.workflows.components",
        "[pinn.engines]",
        "pytorch = pinn_torch.solver",
    ],
}

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> dict[str, zipfile.ZipFile]:
    """Each package's wheel, built from its source archive, and without the workspace."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        pytest.skip("uv builds the wheels, and there is none here")
    folder = tmp_path_factory.mktemp("wheels")
    command = [uv, "build", "--quiet", "--all-packages", "--no-sources", "--out-dir", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)
    return {path.name.split("-")[0].replace("_", "-"): zipfile.ZipFile(path) for path in folder.glob("*.whl")}


def test_there_are_six(wheels):
    assert set(wheels) == set(MODULES) == {folder.name for folder in (ROOT / "packages").glob("pinn-*")}


def test_a_wheel_holds_its_modules_and_nothing_else(wheels):
    for package, wheel in wheels.items():
        source = ROOT / "packages" / package / "src"
        kept = {".py", ".typed", ".md"}
        sources = {p.relative_to(source).as_posix() for p in source.rglob("*") if p.suffix in kept}
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
        assert held == sources, package
        assert {name.partition("/")[0] for name in held} == set(MODULES[package])
        assert all(f"{module}/py.typed" in held for module in MODULES[package])


def test_what_a_wheel_says_is_what_its_pyproject_says(wheels):
    for package, wheel in wheels.items():
        project = tomllib.loads((ROOT / "packages" / package / "pyproject.toml").read_text("utf-8"))[
            "project"
        ]
        folder = f"{package.replace('-', '_')}-{project['version']}.dist-info"
        said = HeaderParser().parsestr(wheel.read(f"{folder}/METADATA").decode())
        assert said["Name"] == package and said["Version"] == project["version"]
        assert said["Requires-Python"] == project["requires-python"] == ">=3.11"
        assert said["License-Expression"] == "BSD-3-Clause"
        assert wheel.read(f"{folder}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
        required = {"".join(line.split(";")[0].split()) for line in said.get_all("Requires-Dist")}
        declared = set(project["dependencies"]).union(*project.get("optional-dependencies", {}).values())
        declared = {requirement for requirement in declared if not requirement.startswith(f"{package}[")}
        assert {_sorted_bounds(r) for r in required} == {_sorted_bounds(r) for r in declared}
        entry = f"{folder}/entry_points.txt"
        lines = wheel.read(entry).decode().splitlines() if entry in wheel.namelist() else []
        assert set(ENTRY_POINTS.get(package, [])) <= set(lines)
        assert bool(lines) == (package in ENTRY_POINTS)


def _sorted_bounds(requirement: str) -> str:
    """`a<2,>=1` and `a>=1,<2` are one requirement."""
    first = min((requirement.find(c) for c in "<>=" if c in requirement), default=len(requirement))
    return requirement[:first] + ",".join(sorted(requirement[first:].split(",")))

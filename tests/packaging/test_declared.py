"""What a package imports is what its pyproject.toml declares, nothing more and nothing less.

An environment cannot tell all of it: PyTorch alone would bring NumPy, and tests bring what pytest needs.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(folder.name for folder in (ROOT / "packages").glob("pinn-*"))
# Distributions whose modules are named otherwise.
DISTRIBUTION = {
    "PIL": "pillow",
    "yaml": "pyyaml",
    "skimage": "scikit-image",
    "mpl_toolkits": "matplotlib",
    "mlflow": "mlflow-skinny",
    "ptycho": "pinn-tf",
    "ptycho_torch": "pinn-torch",
}


def project(package: str) -> dict:
    """The table [project] of its pyproject.toml."""
    return tomllib.loads((ROOT / "packages" / package / "pyproject.toml").read_text("utf-8"))["project"]


def names(requirements: list[str]) -> set[str]:
    """Distributions without their versions."""
    return {re.split(r"[^\w.-]", requirement)[0] for requirement in requirements}


def imports(path: Path) -> tuple[set[str], set[str]]:
    """Distributions that a module imports (at once, later in a function), without Python's own."""
    found: tuple[set[str], set[str]] = (set(), set())

    def visit(node: ast.AST, later: bool) -> None:
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            modules = [node.module or ""]
        else:
            modules = []
        tops = {module.partition(".")[0] for module in modules} - sys.stdlib_module_names
        found[later].update(DISTRIBUTION.get(top, top.replace("_", "-")) for top in tops)
        later = later or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, later)

    visit(ast.parse(path.read_text("utf-8"), path), False)
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_declares_what_it_imports_and_imports_what_it_declares(package):
    declared = names(project(package).get("dependencies", []))
    extras = {extra: names(r) for extra, r in project(package).get("optional-dependencies", {}).items()}
    used: set[str] = set()
    for path in sorted((ROOT / "packages" / package / "src").rglob("*.py")):
        at_once, later = imports(path)
        used |= at_once | later
        # A module that is named for an extra needs it; elsewhere an extra may be missing.
        allowed = declared | {package} | extras.get(path.stem, set())
        assert at_once <= allowed, f"{path} imports {at_once - allowed}, which {package} does not declare"
        allowed = allowed.union(*extras.values())
        assert later <= allowed, f"{path} imports {later - allowed}, which {package} does not declare"
    assert declared <= used, f"{package} declares {declared - used} and does not import it"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_bound_is_one(package):
    """Siblings within the range of the one here; others from a version on, and never up to one."""
    table = project(package)
    requirements = [*table.get("dependencies", [])]
    for extra in table.get("optional-dependencies", {}).values():
        requirements += [r for r in extra if not r.startswith(f"{package}[")]
    for requirement in requirements:
        (name,) = names([requirement])
        if name in PACKAGES:
            major, minor, _ = project(name)["version"].split(".")
            expected = f"{name}>={major}.{minor},<{major}.{int(minor) + 1}"
            assert requirement == expected, f"{package} asks for {requirement}, not {expected}"
        else:
            assert re.fullmatch(re.escape(name) + r">=[\d.]+", requirement), f"{package}: {requirement}"

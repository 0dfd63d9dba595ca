"""What holds for the code of all packages: who touches the global dictionary, and what is needed to run."""

from __future__ import annotations

import ast
import importlib
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(ROOT.glob("packages/*/src/**/*.py"))
TESTS = sorted(ROOT.glob("packages/*/tests/**/*.py"))

# The dictionary itself and its historical names; the loaders of archives (specification, sections 4.2 and
# 4.6); faces of the historical code that are configured through the dictionary alone (section 4.3); and the
# functions by which a program itself puts a probe there.
OWNERS = {"pinn_config/legacy.py", "ptycho/params.py", "ptycho/model.py"}
LOADERS = {"pinn_data/run/inference_bundle.py"}
HISTORICAL_READERS = {
    "pinn_data/grouping/raw_data.py",
    "pinn_tf/historical/container.py",
    "pinn_tf/historical/probe.py",
}
HISTORICAL_SETTERS = {"pinn_tf/historical/probe.py"}


def _name(path: Path) -> str:
    return path.as_posix().rpartition("/src/")[2]


def _uses(path: Path, attribute: str) -> list[ast.AST]:
    """Where a module says ``legacy.<attribute>``, or imports it from there."""
    found: list[ast.AST] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr == attribute:
            if isinstance(node.value, ast.Name) and node.value.id == "legacy":
                found.append(node)
        elif isinstance(node, ast.ImportFrom) and node.module == "pinn_config.legacy":
            found += [node for alias in node.names if alias.name in (attribute, "*")]
    return found


def _only_bridged(path: Path) -> bool:
    """Whether every use of ``legacy.cfg`` in a module is the first argument of `update_legacy_dict`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bridged = {
        id(call.args[0])
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "update_legacy_dict"
        and call.args
    }
    uses = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "cfg"
        and isinstance(node.value, ast.Name)
        and node.value.id == "legacy"
    ]
    return all(id(node) in bridged for node in uses) and not [
        node for node in _uses(path, "cfg") if isinstance(node, ast.ImportFrom)
    ]


def test_the_dictionary_is_written_by_the_bridge_and_the_loader_of_archives_alone():
    assert len(SOURCES) > 50
    for path in SOURCES:
        if _name(path) not in OWNERS | LOADERS:
            assert _only_bridged(path), path
            assert not _uses(path, "set") or _name(path) in HISTORICAL_SETTERS, path


def test_new_code_does_not_depend_on_the_dictionary():
    for path in SOURCES:
        if _name(path) not in OWNERS | LOADERS | HISTORICAL_READERS:
            assert not _uses(path, "get") and not _uses(path, "params"), path
    readers = {_name(path) for path in SOURCES if _uses(path, "get")} - OWNERS
    assert readers == HISTORICAL_READERS


def test_the_watch_over_the_dictionary_sees_what_it_should(tmp_path):
    bad = [
        "from pinn_config import legacy\nlegacy.cfg['N'] = 128\n",
        "from pinn_config import legacy\nlegacy.cfg.update(N=128)\n",
        "from pinn_config.legacy import cfg\n",
    ]
    for number, text in enumerate(bad):
        path = tmp_path / f"{number}.py"
        path.write_text(text)
        assert not _only_bridged(path)
    good = tmp_path / "good.py"
    good.write_text("from pinn_config import legacy\nupdate_legacy_dict(legacy.cfg, config)\n")
    assert _only_bridged(good)
    (tmp_path / "get.py").write_text("from pinn_config import legacy\nlegacy.get('N')\n")
    assert _uses(tmp_path / "get.py", "get")


def test_execution_settings_of_the_commands_are_made_in_one_place():
    """Section 4.9: the commands of the PyTorch backend leave it to ``cli.shared``."""
    commands = [p for p in SOURCES if _name(p).startswith(("pinn_torch/cli/", "ptycho_torch/"))]
    makers = set()
    for path in commands:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("PyTorchExecutionConfig"):
                makers.add(_name(path))
    assert makers == {"pinn_torch/cli/shared.py"}


def _needs(package: str) -> dict[str, str]:
    """What a package declares: name to version."""
    project = tomllib.loads((ROOT / "packages" / package / "pyproject.toml").read_text())["project"]
    found = {}
    for requirement in project["dependencies"]:
        name = requirement.partition(";")[0]
        head = next((i for i, c in enumerate(name) if c in "<>=!~ ["), len(name))
        found[name[:head]] = name[head:]
    return found


def test_the_pytorch_backend_needs_torch_2_2_and_lightning_and_no_experiment_tracker():
    needs = _needs("pinn-torch")
    assert needs["torch"] == ">=2.2" and "lightning" in needs
    assert not needs.keys() & {"mlflow", "tensorboard", "tensorflow", "keras", "pinn-tf"}


@pytest.mark.parametrize("package", sorted(p.name for p in (ROOT / "packages").iterdir() if p.is_dir()))
def test_a_framework_is_needed_by_its_backend_alone(package):
    frameworks = {"torch", "lightning", "tensorflow", "keras"}
    own = {"pinn-torch": {"torch", "lightning"}, "pinn-tf": {"tensorflow", "keras"}}.get(package, set())
    assert _needs(package).keys() & frameworks <= own
    for path in (p for p in [*SOURCES, *TESTS] if package in p.parts):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {n.partition(".")[0] for n in names} & (frameworks - own), path


@pytest.mark.parametrize("folder", sorted(ROOT.glob("packages/*")), ids=lambda folder: folder.name)
def test_a_package_says_the_version_that_it_is_released_with(folder):
    """Results tell it (`pinn_data.run.run_record`), also where nothing is installed."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    package = importlib.import_module(project["name"].replace("-", "_"))
    assert package.__version__ == project["version"]

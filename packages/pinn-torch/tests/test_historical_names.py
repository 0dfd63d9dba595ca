"""The modules of `ptycho_torch` hold names and nothing else."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import ptycho_torch
import pytest

_ROOT = Path(ptycho_torch.__file__).parent
_MODULES = sorted(
    path.relative_to(_ROOT.parent).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    for path in _ROOT.rglob("*.py")
)
_COMMANDS = {"ptycho_torch.train", "ptycho_torch.inference"}


def _is_main_line(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.If)
        and ast.unparse(node.test) == "__name__ == '__main__'"
        and len(node.body) == 1
        and not node.orelse
    )


@pytest.mark.parametrize("module", _MODULES)
def test_a_module_holds_a_docstring_named_re_exports_and_all(module):
    path = _ROOT.parent / (module.replace(".", "/") + ".py")
    path = path if path.is_file() else path.with_suffix("") / "__init__.py"
    docstring, *body = ast.parse(path.read_text()).body
    assert isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant)
    exported: list[str] = []
    for node in body:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None
            assert node.module.partition(".")[0] in ("pinn_torch", "pinn_config", "pinn_data", "pinn_archive")
            assert all(name.name != "*" for name in node.names)
            exported += [name.asname or name.name for name in node.names]
        elif isinstance(node, ast.Assign):
            assert [ast.unparse(target) for target in node.targets] == ["__all__"]
            assert sorted(ast.literal_eval(node.value)) == sorted(exported)
        else:
            assert module in _COMMANDS and _is_main_line(node), ast.unparse(node)
    assert not body or "__all__" in path.read_text()


@pytest.mark.parametrize("module", _MODULES)
def test_every_name_is_there(module):
    found = importlib.import_module(module)
    assert all(hasattr(found, name) for name in getattr(found, "__all__", []))

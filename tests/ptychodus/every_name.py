"""Every name that the installed ptychodus takes from a backend is there: `python every_name.py ptycho_torch`.

What ptychodus needs is read from its own sources, unmodified as installed, and not from a list.
"""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path


def taken_names(root: str) -> set[tuple[str, str | None]]:
    """(module, name) of each import from `root` in ptychodus; no name where the module is imported."""
    spec = find_spec("ptychodus")
    assert spec is not None and spec.submodule_search_locations, "ptychodus is not installed"
    found: set[tuple[str, str | None]] = set()
    for folder in spec.submodule_search_locations:
        for path in Path(folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == root:
                    found |= {(node.module or "", alias.name) for alias in node.names}
                elif isinstance(node, ast.Import):
                    found |= {(a.name, None) for a in node.names if a.name.split(".")[0] == root}
    return found


def main(root: str) -> None:
    names = sorted(taken_names(root), key=str)
    assert names, f"ptychodus {version('ptychodus')} takes nothing from {root}"
    for module, name in names:
        loaded = import_module(module)
        if name is not None and not hasattr(loaded, name):
            import_module(f"{module}.{name}")
    print(f"ptychodus {version('ptychodus')}: {len(names)} names of {root}")


if __name__ == "__main__":
    main(sys.argv[1])

"""Reference of the Python API: a page for each public module, filled from its docstrings by mkdocstrings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["FOLDER", "ROOT", "api_nav", "api_page", "api_pages", "public_modules"]

FOLDER = "reference/api"
ROOT = Path(__file__).resolve().parents[2]


def public_modules() -> list[str]:
    """Dotted names of all modules whose path has no part that begins with an underscore."""
    names = set()
    for source in sorted(ROOT.glob("packages/*/src")):
        for path in source.rglob("*.py"):
            parts = path.relative_to(source).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            if parts and not any(part.startswith("_") for part in parts):
                names.add(".".join(parts))
    return sorted(names)


def api_page(module: str, modules: frozenset[str]) -> str:
    """Path of the page of a module; a package's is the index of its folder."""
    is_package = any(name.startswith(f"{module}.") for name in modules)
    return f"{FOLDER}/{module.replace('.', '/')}{'/index' if is_package else ''}.md"


def api_pages() -> dict[str, str]:
    """The pages, and one that lists the packages."""
    modules = frozenset(public_modules())
    pages = {api_page(name, modules): f"# `{name}`\n\n::: {name}\n" for name in modules}
    tops = sorted(name for name in modules if "." not in name)
    listed = "\n".join(f"* [`{name}`]({name}/index.md)" for name in tops)
    text = f"# Python API\n\nEvery public module of the six packages, from its docstrings.\n\n{listed}\n"
    return {f"{FOLDER}/index.md": text} | pages


def api_nav() -> list[Any]:
    """The pages as MkDocs' nav wants them: folders within folders, each with its index first."""
    modules = frozenset(public_modules())

    def below(prefix: str, depth: int) -> list[Any]:
        entries: list[Any] = []
        for name in sorted(m for m in modules if m.count(".") == depth and m.startswith(prefix)):
            page = api_page(name, modules)
            inner = below(f"{name}.", depth + 1)
            entries.append({name.rpartition(".")[2]: [page, *inner] if inner else page})
        return entries

    return [f"{FOLDER}/index.md", *below("", 0)]

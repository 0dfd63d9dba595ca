"""Pages of the site that are files of the repository outside of `docs/`, and links that lead to such files.

Links in the files fit the repository, where people read them too; on the site each leads to the page of
what it names.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from site_pages.api import ROOT, api_page, public_modules

__all__ = ["PAGES", "package_nav", "repository_pages", "site_links"]

PAGES = {
    "CONTRIBUTING.md": "development/contributing.md",
    "benchmarks/README.md": "development/benchmarks.md",
    "packages/pinn-archive/src/pinn_archive/FORMAT.md": "reference/model_archive.md",
} | {
    f"packages/{folder.name}/{name}.md": f"packages/{folder.name}{ending}.md"
    for folder in sorted(ROOT.glob("packages/*"))
    for name, ending in (("README", ""), ("CHANGELOG", "-changelog"))
}
"""File of the repository to page of the site."""

_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")


def repository_pages() -> dict[str, str]:
    """The pages of :data:`PAGES`."""
    return {
        page: site_links((ROOT / file).read_text("utf-8"), file, page) for file, page in sorted(PAGES.items())
    }


def package_nav() -> list[dict[str, str]]:
    """The pages of the packages, as MkDocs' nav wants them."""
    pages = sorted(page for page in PAGES.values() if page.startswith("packages/"))
    return [{Path(page).stem.replace("-changelog", ", changes"): page} for page in pages]


def site_links(text: str, file: str, page: str) -> str:
    """`text` of a file of the repository with its links as they must be on its page of the site.

    Raises ValueError for a link to a file that is not there, or that no page shows.
    """

    def moved(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(file), match[1]))
        if not (ROOT / target).exists():
            if target.startswith("docs/"):  # a generated page, which MkDocs itself looks for
                return match[0]
            raise ValueError(f"{file}: there is no {target}")
        return posixpath.relpath(_page_of(target, file), posixpath.dirname(page) or ".") + (match[2] or "")

    return _LINK.sub(moved, text)


def _page_of(target: str, file: str) -> str:
    """The page, or the file within `docs/`, that shows a file or folder of the repository."""
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    for name in (target, f"{target}/README.md"):
        if name in PAGES:
            return PAGES[name]
    modules = frozenset(public_modules())
    module = Path(target).with_suffix("").as_posix().partition("/src/")[2].replace("/", ".")
    if module in modules:
        return api_page(module, modules)
    raise ValueError(
        f"{file}: no page of the site shows {target}; see PAGES of docs/site_pages/repository.py"
    )

"""Hooks of MkDocs (`mkdocs.yml`): generated pages, and links to files outside of `docs/`."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(
    0, str(Path(__file__).parent)
)  # also while the API is read, which needs `site_pages.docstrings`

from mkdocs.structure.files import File
from site_pages.api import FOLDER as API
from site_pages.api import api_nav, api_pages
from site_pages.commands import FOLDER as COMMANDS
from site_pages.commands import command_pages
from site_pages.notebooks import notebook_pages
from site_pages.repository import package_nav, repository_pages, site_links
from site_pages.settings import setting_pages

_log = logging.getLogger("mkdocs.hooks")
_FROM_ELSEWHERE = re.compile(
    r"<(?:script|img|iframe)\b[^>]*\bsrc=[\"']?(?:https?:)?//[^>]*>|<link\b[^>]*\bhref=[\"']?(?:https?:)?//[^>]*>"
)


def on_config(config: Any) -> Any:
    """Fills the places of the nav whose pages the code decides."""
    commands = sorted(command_pages())
    index = f"{COMMANDS}/index.md"
    generated = {
        API: api_nav(),
        COMMANDS: [index, *(page for page in commands if page != index)],
        "packages": package_nav(),
    }
    config.nav = _filled(config.nav, generated)
    return config


def _filled(nav: Any, generated: dict[str, Any]) -> Any:
    if isinstance(nav, list):
        return [_filled(entry, generated) for entry in nav]
    if isinstance(nav, dict):
        return {title: _filled(entry, generated) for title, entry in nav.items()}
    return generated.get(nav.rstrip("/"), nav)


def on_files(files: Any, config: Any) -> Any:
    """Adds the generated pages."""
    pages: dict[str, str | bytes] = command_pages() | setting_pages() | api_pages()
    pages |= repository_pages() | notebook_pages()
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turns links to files outside of `docs/` into links to the pages that show them."""
    if page.file.generated_by is not None:
        return markdown
    path = page.file.src_uri
    return site_links(markdown, f"docs/{path}", path)


def on_post_page(output: str, page: Any, **_: Any) -> None:
    """Warns of a page that loads something from another host: the site works offline."""
    for tag in _FROM_ELSEWHERE.findall(output):
        _log.warning("%s loads from another host: %s", page.file.src_uri, tag)

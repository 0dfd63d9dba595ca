"""The generated pages of the documentation site hold every command, option, setting and module.

`make docs` builds the site, executes the tutorials and fails on broken links.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import fields
from pathlib import Path

import pinn_dispatch.cli.parser
import pinn_torch.cli
import pytest
from pinn_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig
from site_pages.api import ROOT, api_page, api_pages, public_modules
from site_pages.commands import FOLDER, command_pages, leaf_parsers
from site_pages.repository import PAGES, repository_pages, site_links
from site_pages.settings import PAGE, setting_pages

PROGRAMS = (pinn_dispatch.cli.parser.build_parser(), pinn_torch.cli.build_parser())
LEAVES = [leaf for program in PROGRAMS for leaf in leaf_parsers(program)]
NOTEBOOKS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))


@pytest.mark.parametrize("parser", LEAVES, ids=lambda parser: parser.prog)
def test_every_option_of_a_command_is_on_its_page(parser):
    program, command = parser.prog.split()[:2]
    text = command_pages()[f"{FOLDER}/{program}-{command}.md"]
    shown = [action for action in parser._actions if action.help is not argparse.SUPPRESS]
    options = [name for action in shown for name in action.option_strings]
    assert "--help" in options
    for name in set(options) - {"-h", "--help"}:
        assert f"`{name}`" in text or f"`{name} " in text, name


def test_every_command_is_listed_with_a_link():
    index = command_pages()[f"{FOLDER}/index.md"]
    for parser in LEAVES:
        program, command = parser.prog.split()[:2]
        assert f"[`{program} {command}`]({program}-{command}.md)" in index


@pytest.mark.parametrize("kind", [ModelConfig, TrainingConfig, InferenceConfig, PyTorchExecutionConfig])
def test_every_setting_is_in_the_reference_with_its_meaning(kind):
    text = setting_pages()[PAGE]
    section = text[text.index(f"[`{kind.__name__}`]") :].partition("\n## ")[0]
    rows = {line.split("`")[1]: line for line in section.splitlines() if line.startswith("| `")}
    for item in fields(kind):
        if item.name != "model":
            assert item.metadata["help"].split()[0] in rows[item.name].replace("\\", "")


def test_every_public_module_has_a_page():
    modules = frozenset(public_modules())
    pages = api_pages()
    assert {"pinn_data.files.npz", "ptycho.params", "ptycho_torch"} <= modules
    for name in modules:
        assert f"::: {name}\n" in pages[api_page(name, modules)]


def test_files_of_the_repository_link_to_pages_of_the_site():
    assert set(repository_pages()) == set(PAGES.values())
    text = "[a](../packages/pinn-tf#a-training), [b](solver.md), [c](https://example.org)"
    expected = "[a](packages/pinn-tf.md#a-training), [b](solver.md), [c](https://example.org)"
    assert site_links(text, "docs/ptychodus.md", "ptychodus.md") == expected


def test_a_link_that_no_page_shows_is_refused():
    with pytest.raises(ValueError, match="there is no nowhere"):
        site_links("[a](nowhere.md)", "CONTRIBUTING.md", "development/contributing.md")
    with pytest.raises(ValueError, match=r"no page of the site shows uv\.lock"):
        site_links("[a](../uv.lock)", "docs/index.md", "index.md")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tutorial_is_kept_without_outputs_and_is_in_the_navigation(path: Path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
    assert f"tutorials/{path.stem}.md" in (ROOT / "mkdocs.yml").read_text("utf-8")

"""The tutorials: notebooks that are executed from top to bottom when the site is built.

They run in an empty folder, which has the measured scan where this machine has it. A cell that fails, or a
command in it that ends with another exit code than 0, fails the build.
"""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

from site_pages.api import ROOT

__all__ = ["FOLDER", "MEASURED", "notebook_pages"]

FOLDER = "tutorials"
MEASURED = ROOT.parent / "shared" / "data" / "siemens_star" / "siemens_star_128.npz"

_SETUP = """
import os
import subprocess
import warnings

def _checked(command):
    plain = {name: value for name, value in os.environ.items() if name not in ("CLICOLOR", "FORCE_COLOR")}
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(command, shell=True, env=plain, **output)
    print(done.stdout, end="")
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {command}")

get_ipython().system = _checked
warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm would like ipywidgets
"""
_NOT_HERE = (
    "\n!!! note\n\n    The measured scan was not at hand when this page was built, so it has no results.\n"
)


def notebook_pages() -> dict[str, str | bytes]:
    """The page of each notebook, and the figures in it."""
    pages: dict[str, str | bytes] = {}
    for path in sorted((ROOT / "docs" / FOLDER).glob("*.ipynb")):
        text, figures = _page(path.read_text("utf-8"), path.stem)
        pages[f"{FOLDER}/{path.stem}.md"] = text
        pages |= {f"{FOLDER}/{name}": data for name, data in figures}
    return pages


@lru_cache  # `mkdocs serve` builds again and again
def _page(source: str, name: str) -> tuple[str, tuple[tuple[str, bytes], ...]]:
    notebook = nbformat.reads(source, as_version=4)
    here = MEASURED.name not in source or MEASURED.exists()
    if here:
        _execute(notebook)
    exporter = MarkdownExporter()
    text, resources = exporter.from_notebook_node(notebook, {"unique_key": name, "output_files_dir": name})
    title, _, rest = text.lstrip().partition("\n")
    download = f"\n[Download this notebook]({name}.ipynb){{ .md-button }}\n"
    figures = tuple(sorted(resources["outputs"].items()))
    return f"{title}\n{download}{'' if here else _NOT_HERE}{rest}", figures


def _execute(notebook: nbformat.NotebookNode) -> None:
    """Fills in the outputs of a notebook."""
    notebook.cells.insert(0, nbformat.v4.new_code_cell(_SETUP))
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    environment |= {"OMP_NUM_THREADS": "1", "TERM": "dumb", "COLUMNS": "100"}
    with tempfile.TemporaryDirectory() as folder:
        if MEASURED.exists():
            (Path(folder) / MEASURED.name).symlink_to(MEASURED)
        client = NotebookClient(
            notebook,
            timeout=600,
            kernel_name="python3",
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": folder}},
        )
        client.execute(env=environment)
    del notebook.cells[0]

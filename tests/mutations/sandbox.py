"""A copy of the source tree in which mutants live, and the tests that are run there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from .mutant import ROOT, Mutant, MutantError, node_of
from .nursery import OUTPUT

__all__ = ["Outcome", "Sandbox"]

_COPIED = ("packages", "tests", "conftest.py", "pyproject.toml")
_SECONDS = 300

_LIBRARIES = ("pytest", "hypothesis", "hypothesis.extra.numpy", "attrs", "h5py")
_LIBRARIES += ("scipy.fft", "scipy.ndimage", "scipy.sparse.linalg", "scipy.spatial")
_LIBRARIES += ("skimage.metrics", "skimage.registration", "skimage.data")
# Each backend's tests have processes of their own.
_FRAMEWORKS = {"pinn-torch": ("torch", "lightning"), "pinn-tf": ("tensorflow", "keras")}


@attrs.frozen
class Outcome:
    """What a run of tests said.

    passed, failed : node ids, in the order of the run
    skipped : node ids that gave no answer
    trouble : what pytest said, where no test ran at all
    """

    passed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    trouble: str = ""


class Sandbox:
    """A copy of the repository's packages and tests in `folder`, an empty one; to be closed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._nurseries: dict[tuple[str, ...], subprocess.Popen[str]] = {}
        ignored = shutil.ignore_patterns("__pycache__", ".hypothesis", "dist", "*.egg-info")
        for name in _COPIED:
            source, target = ROOT / name, folder / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=ignored)
            else:
                shutil.copy2(source, target)
        (folder / "tests" / "test_the_copy_is_taken.py").write_text(_CHECK, encoding="utf-8")
        found = self.run(["tests/test_the_copy_is_taken.py"])
        if not found.passed:
            raise MutantError(
                f"the packages would be taken from elsewhere than the copy in {folder}, so that no mutant "
                f"would be noticed: {found.trouble or found}"
            )

    def close(self) -> None:
        """End the processes that were started for it."""
        for nursery in self._nurseries.values():
            nursery.communicate()
        self._nurseries.clear()

    @contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        """Within it the copy holds the mutant. Raises MutantError as `Mutant.applied` does."""
        path = self.folder / mutant.path
        source = path.read_text(encoding="utf-8")
        path.write_text(mutant.applied(source), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(source, encoding="utf-8")

    def run(self, tests: Sequence[str], *, to_the_end: bool = False) -> Outcome:
        """The tests that are cited, in one process, which ends with the first failure unless `to_the_end`."""
        report, output = self.folder / "report.xml", self.folder / OUTPUT
        report.unlink(missing_ok=True)
        # The packages have settings of their own, which would make node ids relative to them.
        options = ["-q", "-c", "pyproject.toml", "-p", "no:cacheprovider"]
        options += [f"--junitxml={report}", "-o", "junit_family=xunit1"]
        if not to_the_end:
            options.append("-x")
        order = {
            "folder": str(self.folder),
            "arguments": [*options, *map(node_of, tests)],
            "seconds": _SECONDS * (10 if to_the_end else 1),
        }
        nursery = self._nursery(tests[0].split("/")[0])
        assert nursery.stdin is not None and nursery.stdout is not None
        print(json.dumps(order), file=nursery.stdin, flush=True)
        code = int(nursery.stdout.readline())
        if code not in (0, 1) or not report.exists():
            said = output.read_text(encoding="utf-8", errors="replace").strip() if output.exists() else ""
            return Outcome(
                trouble=f"no end after {_SECONDS} s" if code == -1 else f"exit code {code}: {said}"
            )
        return _outcome(report)

    def _nursery(self, folder: str) -> subprocess.Popen[str]:
        libraries = _LIBRARIES + _FRAMEWORKS.get(folder, ())
        if libraries not in self._nurseries:
            self._nurseries[libraries] = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("nursery.py")), *libraries],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"},  # a fork keeps one thread
            )
        return self._nurseries[libraries]


_CHECK = """
from importlib.util import find_spec
from pathlib import Path


def test_packages_are_those_beside_this_file():
    root = Path(__file__).resolve().parents[1]
    for package in root.glob("packages/*/src/pinn_*"):
        assert Path(find_spec(package.name).origin).resolve().is_relative_to(root)
"""


def _outcome(report: Path) -> Outcome:
    passed, failed, skipped = [], [], []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        node = f"{case.get('file')}::{case.get('name')}".removeprefix("packages/")
        answers = {child.tag for child in case}
        if answers & {"failure", "error"}:  # in the test, or in what it is given
            failed.append(node)
        else:
            (skipped if "skipped" in answers else passed).append(node)
    return Outcome(tuple(passed), tuple(failed), tuple(skipped))

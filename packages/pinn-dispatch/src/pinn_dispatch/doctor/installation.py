"""What is installed, by its metadata alone: nothing of it is imported."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Collection, Iterator
from importlib import metadata
from importlib.util import find_spec

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pinn_dispatch.doctor.findings import Finding, note, ok, problem

__all__ = ["PACKAGES", "extras", "ptychodus", "requirements", "versions"]

PACKAGES = ("pinn-config", "pinn-data", "pinn-archive", "pinn-torch", "pinn-tf", "pinn-dispatch")
_LIBRARIES = ("numpy", "scipy", "h5py", "torch", "lightning", "tensorflow", "keras")

_CLIENT = "1.7.0"
_CLIENT_LIBRARIES = {"ptycho": ("PtychoPINN", "pinn-tf"), "ptycho_torch": ("PtychoPINN-Torch", "pinn-torch")}


def versions() -> Iterator[Finding]:
    """Python, the six packages, and the libraries below them."""
    yield ok("python", f"{platform.python_version()} at {sys.executable}")
    yield ok("platform", platform.platform())
    for name in (*PACKAGES, *_LIBRARIES):
        version = _version(name)
        yield ok(name, version) if version else note(name, "not installed")


def requirements(roots: Collection[str] = PACKAGES) -> Iterator[Finding]:
    """Requirements of the installed `roots`, and of what these need, that are not met."""
    found = False
    waiting = [(canonicalize_name(name), frozenset[str]()) for name in roots if _version(name)]
    seen = set(waiting)
    while waiting:
        name, wanted = waiting.pop()
        for need in _needs(name, wanted):
            has = _version(need.name)
            if has is None or not need.specifier.contains(has, prereleases=True):
                found = True
                state = "is not installed" if has is None else f"is {has}"
                yield problem(
                    f"{name} {_version(name)}",
                    f"needs {need.name}{need.specifier}, which {state}",
                    f"pip install {shlex.quote(f'{need.name}{need.specifier}')}",
                )
            if has is not None:
                step = (canonicalize_name(need.name), frozenset(need.extras))
                if step not in seen:
                    seen.add(step)
                    waiting.append(step)
    if not found:
        yield ok("requirements", f"met for {len({name for name, _ in seen})} packages")


def extras(roots: Collection[str] = PACKAGES) -> Iterator[Finding]:
    """What is optional in the installed `roots`: there, or how to get it."""
    told: set[str] = set()
    for name in roots:
        if not _version(name):
            continue
        for extra in metadata.metadata(name).get_all("Provides-Extra") or ():
            for need in _needs(name, frozenset({extra}), only=extra):
                if canonicalize_name(need.name) in {*PACKAGES, *told}:
                    continue  # a backend, or told of already
                told.add(canonicalize_name(need.name))
                has, subject = _version(need.name), f"{name}[{extra}]"
                if has:
                    yield ok(subject, f"{need.name} {has}")
                else:
                    yield note(
                        subject, f"{need.name} is not installed", f"pip install {shlex.quote(subject)}"
                    )


def ptychodus() -> Iterator[Finding]:
    """Which libraries the client ptychodus would find; it decides by the names of packages."""
    version = _version("ptychodus")
    if version is None:
        yield note("ptychodus", "not installed", f"pip install ptychodus=={_CLIENT}")
        return
    if version == _CLIENT:
        yield ok("ptychodus", version)
    else:
        yield note(
            "ptychodus",
            f"{version}; the backends are tested with {_CLIENT}",
            f"pip install ptychodus=={_CLIENT}",
        )
    for name, (library, package) in _CLIENT_LIBRARIES.items():
        if find_spec(name) is None:
            yield note(
                f"ptychodus: {library}",
                f"not offered: the package {name} is not installed",
                f"pip install {package}",
            )
        elif _version(package) is None:
            yield problem(
                f"ptychodus: {library}",
                f"offered, but its package {name} does not come from {package}",
                f"pip install --force-reinstall {package}",
            )
        else:
            yield ok(f"ptychodus: {library}", f"offered, from {package} {_version(package)}")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _needs(name: str, wanted: frozenset[str], only: str | None = None) -> Iterator[Requirement]:
    """Requirements that hold on this machine with these extras; `only` those that hold because of one."""
    for text in metadata.requires(name) or ():
        try:
            need = Requirement(text)
        except InvalidRequirement:  # of somebody's old metadata, which pip has passed by, too
            continue
        plain = need.marker is None or need.marker.evaluate({"extra": ""})
        by_extra = any(need.marker is not None and need.marker.evaluate({"extra": e}) for e in wanted)
        if (by_extra and not plain) if only else (plain or by_extra):
            yield need

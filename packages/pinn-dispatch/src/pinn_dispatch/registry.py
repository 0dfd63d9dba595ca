"""Which backends there are, and the one that was asked for; and the module that carries the solver on each.

The names are a closed set; the modules behind a name are found through the entry-point groups
``pinn.backends`` and ``pinn.engines``, so that this package depends on neither backend. Exactly one is
loaded, and never another than the one that was named.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata, util
from types import ModuleType
from typing import TYPE_CHECKING, cast

import attrs

from pinn_dispatch.backend import Backend, shortcomings
from pinn_dispatch.errors import BackendUnavailableError, UnknownBackendError

if TYPE_CHECKING:
    from pinn_config.configs import Framework

__all__ = [
    "BACKENDS",
    "ENGINES",
    "ENGINE_POINTS",
    "ENTRY_POINTS",
    "BackendName",
    "installed_backends",
    "load_backend",
    "load_engine_module",
    "row_of",
]

ENTRY_POINTS = "pinn.backends"
ENGINE_POINTS = "pinn.engines"
"""Modules with ``operations(device)``, see :mod:`pinn_dispatch.engines`."""


@attrs.frozen
class BackendName:
    """A backend as a user knows it: its framework's `title` and import name, and the command that installs
    it."""

    title: str
    framework: str
    install: str


BACKENDS: Mapping[Framework, BackendName] = {
    "tensorflow": BackendName("TensorFlow", "tensorflow", "pip install tensorflow>=2.16 pinn-tf"),
    "pytorch": BackendName("PyTorch", "torch", "pip install torch>=2.2 pinn-torch"),
}

ENGINES = ("numpy", "pytorch", "tensorflow")
"""What the solver can be asked to run on, see :mod:`pinn_dispatch.engines`."""


def load_backend(name: str) -> Backend:
    """The backend `name`, its module imported.

    Raises
    ------
    UnknownBackendError (a ValueError)
        The name is none of :data:`BACKENDS`.
    BackendUnavailableError (a RuntimeError)
        The backend or its framework is not installed, or cannot be imported; two packages claim the name.
    """
    row, module = row_of(name), _load(name, ENTRY_POINTS)
    problems = shortcomings(module)
    if problems:
        raise BackendUnavailableError(
            f"{row.title} backend selected, but {module.__name__} is not a backend ({'; '.join(problems)}): "
            "install the version that matches this pinn-dispatch"
        )
    return cast(Backend, module)


def load_engine_module(name: str) -> ModuleType:
    """The module that carries the solver on the framework of the backend `name`; raises as `load_backend`
    does."""
    return _load(name, ENGINE_POINTS)


def _load(name: str, group: str) -> ModuleType:
    row = row_of(name)
    points = tuple(metadata.entry_points(group=group, name=name))
    if not points:
        raise BackendUnavailableError(_sentence(row, "no installed package provides it"))
    if len({point.value for point in points}) > 1:
        claims = " and ".join(f"{_owner(point)} ({point.value})" for point in points)
        raise BackendUnavailableError(
            f"{row.title} backend selected, but several installed packages provide it: {claims}; uninstall "
            "all but one"
        )
    if util.find_spec(row.framework) is None:
        raise BackendUnavailableError(_sentence(row, f"{row.framework} is not installed"))
    try:
        return cast(ModuleType, points[0].load())
    except Exception as error:  # whatever a broken installation raises: the cause is chained and named
        raise BackendUnavailableError(_sentence(row, f"it cannot be imported ({error})")) from error


def installed_backends(group: str = ENTRY_POINTS) -> list[Framework]:
    """Names of :data:`BACKENDS` whose package and framework are installed; nothing is imported."""
    provided = {point.name for point in metadata.entry_points(group=group)}
    return [
        name
        for name, row in BACKENDS.items()
        if name in provided and util.find_spec(row.framework) is not None
    ]


def _owner(point: metadata.EntryPoint) -> str:
    """The distribution that a point is of."""
    return point.dist.name if point.dist is not None else "a package without a name"


def row_of(name: str) -> BackendName:
    """The backend `name` as a user knows it; raises UnknownBackendError (a ValueError)."""
    for known, row in BACKENDS.items():
        if known == name:
            return row
    raise UnknownBackendError(
        f"backend {name!r} is unknown: choose {' or '.join(repr(known) for known in BACKENDS)}"
    )


def _sentence(row: BackendName, why: str) -> str:
    return f"{row.title} backend selected, but {why}: run {row.install}"

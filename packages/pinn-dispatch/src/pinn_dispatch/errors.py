"""What pinn-dispatch raises; a message is one sentence that says what to do."""

from __future__ import annotations

__all__ = [
    "BackendRunError",
    "BackendUnavailableError",
    "BusyError",
    "DispatchError",
    "OutputError",
    "ReconstructionFileError",
    "ReconstructionFileNotFoundError",
    "UnknownBackendError",
    "UsageError",
]


class DispatchError(ValueError):
    """Something was asked for that cannot be done as it was asked."""


class UsageError(DispatchError):
    """The command line does not say what to do, or contradicts itself."""


class UnknownBackendError(DispatchError):
    """No backend has that name."""


class BackendUnavailableError(RuntimeError):
    """A known backend cannot be imported; the cause is chained."""


class OutputError(DispatchError, OSError):
    """A folder or file cannot be written; nothing was left behind."""


class ReconstructionFileError(DispatchError):
    """A file is no reconstruction, or none that fits."""


class ReconstructionFileNotFoundError(DispatchError, FileNotFoundError):
    """There is no reconstruction at the path that was given."""


class BackendRunError(RuntimeError):
    """A framework failed; the message holds its own, so that its class need not leave the process."""


class BusyError(RuntimeError):
    """A reconstructor was asked for a run while another one of its runs was not over."""

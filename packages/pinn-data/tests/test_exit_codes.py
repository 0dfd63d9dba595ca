"""Exceptions as exit codes, each with one sentence."""

from __future__ import annotations

import errno

import pytest
from pinn_config.errors import ConfigError, ConfigFileNotFoundError
from pinn_data.command.exit_codes import BAD_INPUT, FAILED, explained


class OutOfMemoryError(RuntimeError):
    """As PyTorch names that of a GPU."""


class FrameworkError(ValueError):
    """A ValueError that is not ours."""


class OurFailure(RuntimeError):
    """Of this project, but not the user's fault."""


OurFailure.__module__ = "pinn_torch.errors"


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ConfigError("nepochs must be >= 1, not 0"), BAD_INPUT, "nepochs must be >= 1, not 0"),
        (ConfigFileNotFoundError("no file"), BAD_INPUT, "no file"),
        (OurFailure("the loss\nis not finite"), FAILED, "the loss is not finite"),
        (PermissionError(errno.EACCES, "Denied", "x.npz"), BAD_INPUT, "x.npz cannot be used (denied): check"),
        (OSError(errno.ENOSPC, "No space"), FAILED, "the system refused (no space): free space"),
        (MemoryError(), FAILED, "not enough memory: choose a smaller batch"),
        (OutOfMemoryError("CUDA out of memory"), FAILED, "not enough memory: choose a smaller batch"),
        (
            FrameworkError("odd"),
            FAILED,
            "FrameworkError: odd (an internal error of tool, not of the input: --debug",
        ),
        (ZeroDivisionError(), FAILED, "ZeroDivisionError (an internal error of tool"),
    ],
)
def test_what_an_exception_means(error, code, words):
    found, sentence = explained(error, "tool", smaller="a smaller batch")
    assert found == code and words in sentence and "\n" not in sentence

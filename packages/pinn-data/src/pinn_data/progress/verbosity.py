"""Detailed logs for one run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["detailed_logs"]


@contextmanager
def detailed_logs(wanted: bool, *packages: str) -> Iterator[None]:
    """Inside, these packages and this one log every detail if `wanted`; afterwards as much as before.

    Where the logs go is the program's choice; one that has chosen nothing sees them on standard error.
    """
    if not wanted:
        yield
        return
    loggers = [logging.getLogger(name) for name in (*packages, "pinn_data")]
    before = [logger.level for logger in loggers]
    handler = None if logging.getLogger().handlers else logging.StreamHandler()
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        if handler is not None:
            logger.addHandler(handler)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
            if handler is not None:
                logger.removeHandler(handler)

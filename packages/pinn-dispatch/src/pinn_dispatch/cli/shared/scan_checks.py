"""Checks of a scan before a command works on it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from pinn_data.command.processes import is_first_process

from pinn_dispatch.errors import UsageError

if TYPE_CHECKING:
    from pinn_data.scan.scan import Scan

    from pinn_dispatch.cli.shared.report import Report

__all__ = ["add_check_flag", "check"]


def add_check_flag(group: Any) -> None:
    """``--anyway``."""
    group.add_argument(
        "--anyway",
        action="store_true",
        help="continue even if the checks say that this scan cannot give an image",
    )


def check(scan: Scan, args: argparse.Namespace, report: Report) -> None:
    """Warns of every problem found in a scan.

    Raises UsageError if the scan cannot give an image, unless ``--anyway`` was given.
    """
    from pinn_data.checks.scan_checks import check_scan

    for finding in check_scan(scan):
        if finding.level == "bad" and not args.anyway:
            raise UsageError(f"{finding.sentence}; use --anyway to continue with the scan as it is")
        if is_first_process():
            report.warn(finding.sentence)

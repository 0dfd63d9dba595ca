"""The flags that both commands have, and those of a config's fields, in groups."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pinn_config.architecture import ARCHITECTURES
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.command.flags import add_flags
from pinn_data.command.mask_flags import add_mask_flags

from pinn_torch.cli.command import FlagParser
from pinn_torch.cli.shared import EXECUTION_DEFAULTS, FLAG_NAMES

__all__ = ["add_common_flags", "add_detector_flags", "add_execution_flags", "add_settings"]

_DEVICES = ("cpu", "cuda")


def add_settings(
    parser: FlagParser,
    title: str,
    kind: type,
    names: tuple[str, ...],
    defaults: Mapping[str, Any],
    spelled: Mapping[str, Any] | None = None,
    shown: Mapping[str, str] | None = None,
) -> None:
    """A group of flags for fields of `kind`.

    shown : what the help prints as the default, where that is not the value in `defaults`
    """
    choices = {"architecture": ARCHITECTURES}
    group = parser.add_argument_group(title)
    add_flags(group, kind, names, defaults={**defaults, **(shown or {})}, spelled=spelled, choices=choices)
    parser.untyped |= {name: defaults[name] for name in names}


def add_execution_flags(
    parser: FlagParser, names: tuple[str, ...], described: Mapping[str, str] | None = None
) -> None:
    """The group of execution flags, the deprecated ``--device`` included.

    described : descriptions in place of those of the settings
    """
    group = parser.add_argument_group("execution")
    plain = [name for name in names if name not in ("enable_progress_bar", "enable_checkpointing")]
    add_flags(
        group,
        PyTorchExecutionConfig,
        plain,
        defaults=EXECUTION_DEFAULTS,
        spelled=FLAG_NAMES,
        described=described,
    )
    if "enable_checkpointing" in names:
        checkpointing = group.add_mutually_exclusive_group()
        for flag, action, text in (
            ("--enable-checkpointing", "store_true", "save checkpoints during training (default)"),
            ("--disable-checkpointing", "store_false", "save no checkpoints; the training cannot be resumed"),
        ):
            checkpointing.add_argument(
                flag, dest="enable_checkpointing", action=action, default=argparse.SUPPRESS, help=text
            )
    group.add_argument(
        "--device",
        choices=_DEVICES,
        default=argparse.SUPPRESS,
        help="deprecated: use --accelerator",
    )
    parser.untyped |= {name: EXECUTION_DEFAULTS[name] for name in names if name != "enable_progress_bar"}
    parser.untyped |= {"device": None}


def add_detector_flags(parser: FlagParser) -> None:
    """The flags of what the detector did not measure."""
    add_mask_flags(parser.add_argument_group("detector"), argparse.SUPPRESS)
    parser.untyped |= {"mask": None, "invert_mask": None}


def add_common_flags(parser: FlagParser) -> None:
    """The flags that are no setting of a config."""
    group = parser.add_argument_group("run")
    for flag, value, options in (
        (
            "--config",
            None,
            {"type": Path, "metavar": "YAML", "help": "file with settings; flags override it"},
        ),
        ("--seed", 0, {"type": int, "metavar": "N", "help": "random seed (default: 0)"}),
        (
            "--quiet",
            False,
            {"action": "store_true", "help": "print results and warnings only, no progress bar"},
        ),
        ("--debug", False, {"action": "store_true", "help": "log details and show tracebacks"}),
    ):
        group.add_argument(flag, default=argparse.SUPPRESS, **options)
        parser.untyped[flag.removeprefix("--")] = value

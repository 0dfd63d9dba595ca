"""`pinn config`: write a settings file to edit, or list every error in one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from pinn_config import InferenceConfig, TrainingConfig
from pinn_config.errors import ConfigFileNotFoundError
from pinn_config.files import EXECUTION

from pinn_dispatch.cli.shared.output import output_folder
from pinn_dispatch.cli.shared.report import Report
from pinn_dispatch.config_template import KINDS, template
from pinn_dispatch.errors import UsageError
from pinn_dispatch.recipe import RECIPE
from pinn_dispatch.registry import BACKENDS

__all__ = ["add", "run"]

_CONFIGS = {"training": TrainingConfig, "inference": InferenceConfig}


def add(commands: Any) -> tuple[argparse.ArgumentParser, ...]:
    """The flags of this command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "config",
        help="write a settings file to edit, or check one",
        description="Write or check settings files for --config of 'pinn train' and 'pinn infer'.",
    )
    parts = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    writes = parts.add_parser(
        "template",
        help="write a file with every setting, its default and its meaning",
        description="Write a YAML file with every setting, its default and its meaning. Used with --config "
        "without edits, it changes nothing.",
    )
    writes.add_argument(
        "--kind", choices=KINDS, default="training", help="kind of settings (default: training)"
    )
    writes.add_argument("--backend", choices=tuple(BACKENDS), help="backend to write into the file")
    writes.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="output file (default: standard output)"
    )
    writes.set_defaults(part=_template)
    checks = parts.add_parser(
        "validate",
        help="list every error in a settings file",
        description="Check files for --config and list every error with its line. Errors that depend on the "
        "data or on the backend are not found.",
    )
    checks.add_argument("files", nargs="+", type=Path, metavar="FILE", help="YAML file with settings")
    checks.add_argument("--kind", choices=tuple(_CONFIGS), help="kind of settings (default: detected)")
    checks.set_defaults(part=_validate)
    return writes, checks


def run(args: argparse.Namespace) -> None:
    """Writes or checks."""
    args.part(args)


def _template(args: argparse.Namespace) -> None:
    if args.kind == "execution" and args.backend is not None:
        raise UsageError(
            "--backend was given, but --kind execution has no backend: choose --kind training or inference"
        )
    text = template(args.kind, RECIPE, args.backend)
    if args.output is None:
        sys.stdout.write(text)
        return
    if args.output.exists():
        raise UsageError(f"{args.output} exists already: give another name, or delete it")

    from pinn_data.files.atomic_write import atomic_write

    with output_folder(args.output.parent), atomic_write(args.output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    command = "infer" if args.kind == "inference" else "train"
    Report(args.quiet).result(
        {
            "settings": args.output,
            "check": f"pinn config validate {args.output}",
            "use": f"pinn {command} --config {args.output} ...",
        }
    )


def _validate(args: argparse.Namespace) -> None:
    from pinn_config.file_check import check_file, kind_of

    problems = 0
    for path in args.files:
        try:
            kind = _CONFIGS[args.kind] if args.kind else kind_of(path)
            defaults = RECIPE if kind is TrainingConfig else {EXECUTION: RECIPE[EXECUTION]}
            findings = check_file(path, kind, defaults)
        except ConfigFileNotFoundError as error:
            print(f"{path}: {error}")
            problems += 1
            continue
        for finding in findings:
            section = finding.key.rpartition(".")[0]
            print(f"{path}:{finding.line}: {section}{': ' if section else ''}{finding.problem}")
        if not findings:
            what = "training" if kind is TrainingConfig else "inference"
            print(f"{path}: sound as settings of {what}")
        problems += len(findings)
    if problems:
        raise UsageError(
            f"{problems} problem{'s' * (problems > 1)} found: fix the lines above ('pinn config template' "
            "shows every setting)"
        )

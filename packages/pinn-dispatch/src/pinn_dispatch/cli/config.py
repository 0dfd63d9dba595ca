"""`pinn config`: a file of settings to be edited, and everything that is wrong with one."""

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
        help="write a file of settings to be edited, or check one",
        description="Files for --config of 'pinn train' and 'pinn infer'.",
    )
    parts = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    writes = parts.add_parser(
        "template",
        help="every setting with its default and meaning",
        description="Writes a YAML file with every setting, its default and what it means. Given to --config "
        "as it is, it changes nothing.",
    )
    writes.add_argument(
        "--kind", choices=KINDS, default="training", help="what is described (default: training)"
    )
    writes.add_argument("--backend", choices=tuple(BACKENDS), help="the backend that the file names")
    writes.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="the file to write (default: the output stream)"
    )
    writes.set_defaults(part=_template)
    checks = parts.add_parser(
        "validate",
        help="say everything that is wrong with a file",
        description="Checks files for --config and lists every problem with its line. What only the data "
        "or a backend can tell is not seen.",
    )
    checks.add_argument("files", nargs="+", type=Path, metavar="FILE", help="YAML files")
    checks.add_argument("--kind", choices=tuple(_CONFIGS), help="what they describe (default: found out)")
    checks.set_defaults(part=_validate)
    return writes, checks


def run(args: argparse.Namespace) -> None:
    """Writes or checks."""
    args.part(args)


def _template(args: argparse.Namespace) -> None:
    if args.kind == "execution" and args.backend is not None:
        raise UsageError(
            "--backend was given, but --kind execution describes no backend: choose --kind training or "
            "inference"
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
            f"{problems} problem{'s' * (problems > 1)} in what was given: mend what is listed, "
            "'pinn config template' shows every setting"
        )

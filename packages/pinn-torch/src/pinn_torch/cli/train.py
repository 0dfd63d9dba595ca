"""``pinn-torch train``, and ``python -m ptycho_torch.train``: a scan in, a trained network out."""

from __future__ import annotations

import argparse
import csv
import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_data.command.mask_flags import masked
from pinn_data.command.processes import is_first_process

from pinn_torch.cli.command import FlagParser, finished, listen, show_results, warnings_told
from pinn_torch.cli.flags import add_common_flags, add_detector_flags, add_execution_flags, add_settings
from pinn_torch.cli.settings import run_settings
from pinn_torch.cli.shared import EXECUTION_DEFAULTS, validate_paths
from pinn_torch.errors import UsageError
from pinn_torch.settings.precedence import canonical_defaults

if TYPE_CHECKING:
    from pinn_config.execution import PyTorchExecutionConfig

    from pinn_torch.workflows import TrainingResult

__all__ = ["DEFAULTS", "DESCRIPTION", "SUMMARY", "add_arguments", "build_parser", "main", "run"]

SUMMARY = "train a network on a scan"
DESCRIPTION = """\
Train a network on a scan, without labels. Writes wts.h5.zip (the trained model), losses.csv and config.yaml,
which --config can read.
"""

# What the command line does not offer: the data say it, or there is one value only.
_NOT_OFFERED = ("N", "backend", "positions_provided")

DEFAULTS: dict[str, Any] = {
    name: value
    for name, value in canonical_defaults(ModelConfig, TrainingConfig).items()
    if name not in _NOT_OFFERED
} | {"n_groups": TrainingConfig(ModelConfig()).n_groups}
"""Setting to value where no flag was typed: those of the specification."""

_DATA = ("train_data_file", "test_data_file", "output_dir", "n_groups", "n_subsample", "subsample_seed")
_GROUPS = (
    "neighbor_count",
    "neighbor_function",
    "min_neighbor_distance",
    "max_neighbor_distance",
    "scan_pattern",
    "sequential_sampling",
)
_NETWORK = tuple(name for name in canonical_defaults(ModelConfig) if name not in _NOT_OFFERED)
_LEARNING = tuple(name for name in DEFAULTS if name not in (*_DATA, *_GROUPS, *_NETWORK))
_OTHER_NAMES = {
    "n_groups": ("n_images", "n_groups"),
    "nepochs": ("max_epochs", "nepochs", "epochs"),
}
_COLUMNS = ("step", "epoch", "seconds", "train_loss", "val_loss")


def build_parser(prog: str = "python -m ptycho_torch.train") -> FlagParser:
    """The parser of this command alone; nothing heavy is imported for it."""
    parser = FlagParser(prog=prog, description=DESCRIPTION)
    add_arguments(parser)
    return parser


def add_arguments(parser: FlagParser) -> None:
    """The flags of this command."""
    parser.usage = f"{parser.prog} --train_data_file FILE [--output_dir DIR] [flags]"
    add_settings(parser, "data", TrainingConfig, _DATA, DEFAULTS, _OTHER_NAMES)
    add_detector_flags(parser)
    add_settings(parser, "groups", TrainingConfig, _GROUPS, DEFAULTS)
    add_settings(parser, "network", ModelConfig, _NETWORK, DEFAULTS)
    add_settings(parser, "training", TrainingConfig, _LEARNING, DEFAULTS, _OTHER_NAMES)
    training = tuple(
        name for name in EXECUTION_DEFAULTS if name not in ("inference_batch_size", "middle_trim", "pad_eval")
    )
    add_execution_flags(parser, training)
    deprecated = parser.add_argument_group("deprecated")
    deprecated.add_argument(
        "--disable-mlflow",
        action="store_true",
        default=argparse.SUPPRESS,
        help="deprecated: use --logger none and --quiet",
    )
    add_common_flags(parser)
    limit = parser.add_argument_group("limits")
    limit.add_argument(
        "--max-seconds",
        type=float,
        default=argparse.SUPPRESS,
        metavar="T",
        help="time limit of the training [s]; the learning-rate schedule is fitted to it (default: no limit)",
    )
    parser.untyped |= {"disable_mlflow": False, "max_seconds": None}


def run(args: argparse.Namespace) -> None:
    """Trains and saves."""
    quiet = args.quiet or not is_first_process()
    listen(quiet=quiet, debug=args.debug)
    if args.max_seconds is not None and not args.max_seconds > 0:
        raise UsageError(f"--max-seconds is {args.max_seconds:g}, but a time above 0 is needed")
    if args.seed < 0:
        raise UsageError(f"--seed is {args.seed}, but a whole number >= 0 is needed")
    with warnings_told():
        settings = run_settings(args, "training", DEFAULTS)
    source, folder = settings.path("train_data_file", "scan to learn"), settings.path("output_dir", "folder")
    validation_source = settings.paths.get("test_data_file")

    from pinn_data.files.npz import read_scan
    from pinn_data.scan.stored_patterns import LARGE

    from pinn_torch.settings.config_factory import create_training_payload
    from pinn_torch.workflows import train

    begun = time.perf_counter()
    given = dict(settings.overrides)
    if validation_source is not None:
        given["test_data_file"] = validation_source
    payload = create_training_payload(source, folder, **settings.levels() | {"overrides": given})
    validate_paths(source, validation_source, folder)
    config, execution = payload.tf_training_config, payload.execution_config
    scan = masked(read_scan(source, in_file_above=LARGE), args)
    if validation_source is None:
        validation = None
    else:
        validation = masked(read_scan(validation_source, in_file_above=LARGE), args)
    if not quiet:
        gridsize = config.model.gridsize
        # A group of one pattern is that pattern, however often it is drawn.
        groups = config.n_groups if gridsize > 1 else min(config.n_groups or len(scan), len(scan))
        print(
            f"training on {len(scan)} patterns of {scan.N} x {scan.N}: {config.model.architecture}, "
            f"gridsize {gridsize}, {groups} groups, {config.nepochs} epochs",
            flush=True,
        )
    result = train(
        scan, config, execution, validation=validation, seed=args.seed, max_seconds=args.max_seconds
    )
    if not is_first_process():
        return
    written = _save(folder, result, config, execution)
    last = result.history[-1] if result.history else {}
    show_results(
        {
            "archive": result.archive,
            **written,
            "loss": f"{last['train_loss']:.6g}" if last else "not recorded",
            "parameters": f"{result.parameters:,}",
            "seconds": f"{result.seconds:.1f} training, {time.perf_counter() - begun:.1f} in total",
            "next": f"pinn-torch infer --model_path {folder} --test_data SCAN.npz --output_dir DIR",
        }
    )


def _save(
    folder: Path, result: TrainingResult, config: TrainingConfig, execution: PyTorchExecutionConfig
) -> dict[str, Path]:
    """Writes what a training leaves besides its archive; name to path."""
    from pinn_config.files import save_run
    from pinn_data.files.atomic_write import atomic_write
    from pinn_data.run.run_record import write_provenance

    text = io.StringIO()
    columns = list(dict.fromkeys([*_COLUMNS, *(key for row in result.history for key in row)]))
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(result.history)
    with atomic_write(folder / "losses.csv") as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    return {
        "losses": folder / "losses.csv",
        "configuration": save_run(folder / "config.yaml", config, execution),
        "provenance": write_provenance(folder, result.provenance, result.scales),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Runs this command alone and returns the exit code."""
    return finished(build_parser(), argv, run)

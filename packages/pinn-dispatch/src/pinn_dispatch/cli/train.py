"""`pinn train`: train a network on a scan."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinn_config import ModelConfig, PyTorchExecutionConfig, TrainingConfig
from pinn_data.command.mask_flags import add_mask_flags, masked
from pinn_data.command.processes import is_first_process

from pinn_dispatch.cli.shared.flag_values import explaining
from pinn_dispatch.cli.shared.output import output_folder, write_table
from pinn_dispatch.cli.shared.report import Report
from pinn_dispatch.cli.shared.scan_checks import add_check_flag, check
from pinn_dispatch.cli.shared.settings import add_flags, training_settings
from pinn_dispatch.compare.selection import Region, select
from pinn_dispatch.errors import UsageError
from pinn_dispatch.recipe import RECIPE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pinn_dispatch.backend import TrainingResult

__all__ = ["LOSS_COLUMNS", "add", "course", "run", "save_training"]

LOSS_COLUMNS = ("step", "epoch", "seconds", "train_loss", "val_loss")


def add(commands: Any) -> argparse.ArgumentParser:
    """The flags of this command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "train",
        help="train a network on a scan",
        description="Train a network on a scan, without labels. Writes wts.h5.zip (the trained model), "
        "losses.csv, config.yaml, provenance.json and training.png.",
    )
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="NPZ file with the training scan (or train_data_file in --config)",
    )
    data.add_argument("--output", type=Path, metavar="DIR", required=True, help="output folder")
    data.add_argument(
        "--validation",
        type=Path,
        metavar="FILE",
        help="NPZ file with the validation scan (default: no validation)",
    )
    data.add_argument(
        "--region",
        type=explaining(Region.parse),
        metavar="EXPR",
        help="region of positions to use, for example 'y<238' or 'x>=100,y<50' [pixels]",
    )
    add_mask_flags(data)
    add_check_flag(data)
    what = parser.add_argument_group("network and data")
    what.add_argument("--config", type=Path, metavar="YAML", help="file with settings; flags override it")
    add_flags(what, ModelConfig, ("architecture", "gridsize", "n_filters_scale"))
    add_flags(
        what,
        TrainingConfig,
        ("nepochs", "batch_size", "n_groups", "neighbor_count", "validation_groups", "refine", "backend"),
        {**RECIPE, "n_groups": "one per pattern"},
    )
    how = parser.add_argument_group("training")
    how.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (default: 0)")
    how.add_argument(
        "--max-seconds", type=float, metavar="T", help="time limit of the training [s] (default: no limit)"
    )
    add_flags(
        how,
        PyTorchExecutionConfig,
        (
            "learning_rate",
            "scheduler",
            "warmup_steps",
            "gradient_clip_val",
            "accum_steps",
            "accelerator",
            "devices",
            "precision",
            "num_workers",
            "logger_backend",
            "deterministic",
        ),
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Trains and saves."""
    if args.max_seconds is not None and not args.max_seconds > 0:
        raise UsageError(f"--max-seconds is {args.max_seconds:g}, but a time above 0 is needed")
    settings = training_settings(args)
    source = args.data or settings.config.train_data_file
    if source is None:
        raise UsageError(
            "no training scan was given: use --data FILE, or train_data_file in the file of --config"
        )
    validation_source = args.validation or settings.config.test_data_file

    from pinn_data.files.npz import read_scan
    from pinn_data.scan.stored_patterns import LARGE

    from pinn_dispatch.dispatch import train

    report = Report(args.quiet or not is_first_process())
    with output_folder(args.output) as folder:
        scan = select(masked(read_scan(source, in_file_above=LARGE), args), args.region)
        check(scan, args, report)
        config = settings.for_scan(scan.N, len(scan))
        config.train_data_file, config.test_data_file, config.output_dir = source, validation_source, folder
        validation = None if validation_source is None else read_scan(validation_source, in_file_above=LARGE)
        if validation is not None and validation.N != scan.N:
            raise UsageError(
                f"{validation_source} has patterns of {validation.N} pixels, but {source} of {scan.N}: use "
                "a validation scan with patterns of the same size"
            )
        validation = None if validation is None else masked(validation, args)
        report.note(
            f"training on {len(scan)} patterns of {scan.N} x {scan.N}: {config.model.architecture}, "
            f"gridsize {config.model.gridsize}, {config.nepochs} epochs, {config.backend}, "
            f"{course(settings.execution)}"
        )
        result = train(
            scan,
            config,
            settings.execution,
            validation=validation,
            seed=args.seed,
            max_seconds=args.max_seconds,
        )
        if not is_first_process():
            return
        written = save_training(folder, result, config, settings.execution)
    report.result(
        {
            "archive": result.archive,
            **written,
            "parameters": f"{result.parameters:,}",
            "seconds": f"{result.seconds:.1f} training, {report.seconds:.1f} in total",
            "next": f"pinn infer --model {result.archive} --data SCAN.npz --output DIR",
        }
    )


def course(execution: PyTorchExecutionConfig) -> str:
    """The learning rate over a training in words, its warm-up included."""
    warmup = f", warm-up {execution.warmup_steps} steps" if execution.warmup_steps else ""
    return f"learning rate {execution.learning_rate:g} ({execution.scheduler}{warmup})"


def save_training(
    folder: Path, result: TrainingResult, config: TrainingConfig, execution: PyTorchExecutionConfig
) -> dict[str, Path]:
    """Writes what a training leaves besides its archive: losses, effective configuration, provenance,
    picture; name to path."""
    from pinn_config.files import save_run
    from pinn_data.run.run_record import write_provenance

    from pinn_dispatch.figures.pictures import training_figure

    losses = write_table(folder / "losses.csv", result.history, _columns(result.history))
    configuration = save_run(folder / "config.yaml", config, execution)
    network = (
        f"{config.model.architecture}, gridsize {config.model.gridsize}, {result.parameters:,} parameters"
    )
    about = f"{network}, {result.seconds:.0f} s"
    picture = training_figure(folder / "training.png", result.history, about)
    provenance = write_provenance(folder, result.provenance, result.scales)
    return {
        "losses": losses,
        "configuration": configuration,
        "provenance": provenance,
        "picture": picture,
    }


def _columns(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns that every backend records, then those that this one adds."""
    return list(dict.fromkeys([*LOSS_COLUMNS, *(key for row in history for key in row)]))

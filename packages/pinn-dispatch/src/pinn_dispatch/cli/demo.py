"""`pinn demo`: simulate, learn one object, reconstruct another one, and show it.

The other object is reconstructed by the network alone, then by the solver from there; both lie beside the
truth.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from pinn_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig

from pinn_dispatch.cli.evaluate import summary
from pinn_dispatch.cli.infer import measures, pattern_pair
from pinn_dispatch.cli.shared.output import output_folder, write_json
from pinn_dispatch.cli.shared.report import Report
from pinn_dispatch.cli.shared.settings import add_flags, training_settings
from pinn_dispatch.cli.train import course, save_training
from pinn_dispatch.demo_scans import SIDE
from pinn_dispatch.errors import UsageError
from pinn_dispatch.recipe import RECIPE

__all__ = ["MAX_SECONDS", "SOLVED", "add", "run"]

SOLVED = "solved"
"""Folder, in that of the demo, for what the solver made of the same scan."""

MAX_SECONDS = 65.0
"""Of training: with simulation, both reconstructions and pictures the demo takes two minutes on two cores."""

_RECIPE = {
    **RECIPE,
    "nepochs": 10_000,  # so it is the time that ends the training
    "refine": "none",  # the probe and the positions of a simulated scan are exact
    "execution": RECIPE["execution"] | {"logger_backend": "none", "enable_checkpointing": False},
}


def add(commands: Any) -> argparse.ArgumentParser:
    """The flags of this command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "demo",
        help="train on a simulated scan and reconstruct an unseen object (two minutes, needs no data)",
        description="Simulate two scans, train a network on the first, reconstruct the second with the "
        "network alone and with the network and the solver, and score both images against the truth. Needs "
        "no data and takes two minutes on two cores.",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("pinn_demo"),
        metavar="DIR",
        help="output folder (default: pinn_demo)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (default: 0)")
    parser.add_argument(
        "--max-seconds",
        type=float,
        default=MAX_SECONDS,
        metavar="T",
        help=f"time limit of the training [s] (default: {MAX_SECONDS:g})",
    )
    parser.add_argument(
        "--side",
        type=int,
        default=SIDE,
        metavar="N",
        help=f"size of the training scan: N x N patterns (default: {SIDE})",
    )
    add_flags(parser, TrainingConfig, ("nepochs", "batch_size", "backend"), _RECIPE)
    add_flags(parser, ModelConfig, ("architecture", "gridsize"), _RECIPE)
    add_flags(parser, PyTorchExecutionConfig, ("learning_rate", "accelerator", "precision"), _RECIPE)
    return parser


def run(args: argparse.Namespace) -> None:
    """The whole demo."""
    if not args.max_seconds > 0 or args.side < 6 or args.seed < 0:
        raise UsageError(
            f"--max-seconds {args.max_seconds:g}, --side {args.side} and --seed {args.seed} were given, but "
            "a time above 0, a "
            "side of at least 6 and a seed not below 0 are needed"
        )
    settings = training_settings(args, _RECIPE)

    from pinn_data.files.npz import write_scan

    from pinn_dispatch.compare.comparison import compare
    from pinn_dispatch.demo_scans import N, demo_scans
    from pinn_dispatch.dispatch import reconstruct, train
    from pinn_dispatch.figures.pictures import demo_figure
    from pinn_dispatch.figures.solution_figure import solution_figure
    from pinn_dispatch.reconstruction import Image, Reconstruction, write_reconstruction
    from pinn_dispatch.registry import load_backend
    from pinn_dispatch.solving import solve

    report = Report(args.quiet)
    with output_folder(args.output) as folder:
        load_backend(settings.config.backend)  # missing, it is told before anything is simulated
        with report.stage("1/5  simulating two scans"):
            learned, unseen = demo_scans(args.seed, side=args.side)
            learned_file = write_scan(folder / "scan_learned.npz", learned, unit="counts")
            unseen_file = write_scan(folder / "scan_unseen.npz", unseen, unit="counts")
        config = settings.for_scan(N, len(learned))
        config.train_data_file, config.output_dir = learned_file, folder
        report.note(
            f"2/5  training on {len(learned)} patterns of one object, {args.max_seconds:g} s at most, "
            f"{course(settings.execution)}"
        )
        began = time.process_time()
        training = train(learned, config, settings.execution, seed=args.seed, max_seconds=args.max_seconds)
        learning = time.process_time() - began
        report.note(f"3/5  reconstructing {len(unseen)} patterns of an unseen object with the network")
        inference = InferenceConfig(
            config.model,
            model_path=training.archive,
            test_data_file=unseen_file,
            output_dir=folder,
            refine="none",
        )
        began = time.process_time()
        result = reconstruct(training.archive, unseen, inference, settings.execution, seed=args.seed)
        seconds = {"network": time.process_time() - began}
        report.note("4/5  refining that image with the solver")
        began = time.process_time()
        solved = solve(unseen, model=training.archive, network_image=result)
        seconds["solver"] = time.process_time() - began
        with report.stage("5/5  scoring and drawing figures"):
            about = {
                "model": str(training.archive),
                "data": str(unseen_file),
                "seed": args.seed,
                "backend": config.backend,
                "architecture": config.model.architecture,
                **measures(result, unseen),
            }
            found = Reconstruction.of(result, about).measured_in(unseen.geometry)
            npz, product = write_reconstruction(folder, found, unseen)
            assert unseen.object is not None and learned.object is not None  # both were simulated from one
            scored = compare(found.as_image(), Image(unseen.object))
            by_solver = compare(solved.as_image(), Image(unseen.object), roi=scored.roi)
            (folder / SOLVED).mkdir(exist_ok=True)
            write_reconstruction(folder / SOLVED, solved, unseen)
            second_picture = solution_figure(folder / SOLVED / "reconstruction.png", solved, unseen_file.name)
            written = save_training(folder, training, config, settings.execution)
            measured, predicted = pattern_pair(result, unseen)
            picture = demo_figure(
                folder / "demo.png",
                scored,
                by_solver,
                seconds=seconds,
                learned=learned.object,
                learned_positions=learned.positions,
                probe=found.probe,
                measured=measured,
                predicted=predicted,
                history=training.history,
                subtitle=f"trained on {len(learned)} patterns of one object in {training.seconds:.0f} s; "
                f"unseen object reconstructed from {len(unseen)} patterns ({config.model.architecture}, "
                f"gridsize {result.gridsize}, {training.parameters:,} parameters)",
            )
            numbers = {
                "seconds_training": training.seconds,
                "parameters": training.parameters,
                "cpu_seconds": {"training": learning, **seconds},
                "solver": by_solver.scores | {"R": solved.metadata["R"]},
                "seconds_demo": report.seconds,
                "roi": scored.roi,
            }
            metrics = write_json(folder / "metrics.json", scored.scores | numbers | about)
    report.result(
        {
            "picture": picture,
            "solver picture": second_picture,
            "reconstruction": npz,
            "product": product,
            "metrics": metrics,
            "archive": training.archive,
            "configuration": written["configuration"],
            "losses": written["losses"],
            **summary(scored.scores),
            "residual R": f"{result.residual:.4f}",
            **{f"{name}, solver": text for name, text in summary(by_solver.scores).items()},
            "residual R, solver": f"{solved.metadata['R']:.4f}",
            "CPU seconds": f"{learning:.0f} training, {seconds['network']:.1f} network, "
            f"{seconds['solver']:.1f} solver",
            "seconds": f"{training.seconds:.0f} training, {result.seconds['total']:.1f} reconstruction, "
            f"{report.seconds:.0f} in total",
        }
    )

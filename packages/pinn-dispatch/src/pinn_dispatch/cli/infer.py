"""`pinn infer`: reconstruct a scan with a trained network, then refine it with the solver."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pinn_config import InferenceConfig, PyTorchExecutionConfig, validate
from pinn_config.configs import Framework
from pinn_data.command.mask_flags import add_mask_flags, masked
from pinn_data.command.processes import is_first_process

from pinn_dispatch.cli.shared.flag_values import explaining
from pinn_dispatch.cli.shared.output import output_folder, write_json
from pinn_dispatch.cli.shared.report import Report
from pinn_dispatch.cli.shared.run_log import LOG_NAME, run_log
from pinn_dispatch.cli.shared.scan_checks import add_check_flag, check
from pinn_dispatch.cli.shared.settings import add_flags, inference_settings
from pinn_dispatch.compare.selection import FRAMES, Region, select
from pinn_dispatch.errors import UsageError
from pinn_dispatch.registry import BACKENDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pinn_data.scan.scan import Scan

    from pinn_dispatch.backend import ReconstructionResult

__all__ = ["add", "measures", "pattern_pair", "run"]


def add(commands: Any) -> argparse.ArgumentParser:
    """The flags of this command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "infer",
        help="reconstruct a scan with a trained network, then refine it with the solver",
        description="Reconstruct a scan: the network makes an image, and the physics solver refines it. "
        "Writes reconstruction.npz, .h5 (ptychodus product) and .png, reconstruct.log and metrics.json "
        "(scores and provenance). The network and its gridsize are read from the archive.",
    )
    data = parser.add_argument_group("data")
    data.add_argument(
        "--model",
        type=Path,
        metavar="PATH",
        help="trained model: wts.h5.zip or its folder (or model_path in --config)",
    )
    data.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="NPZ file with the scan to reconstruct (or test_data_file in --config)",
    )
    data.add_argument("--output", type=Path, metavar="DIR", required=True, help="output folder")
    data.add_argument(
        "--region",
        type=explaining(Region.parse),
        metavar="EXPR",
        help="region of positions to use, for example 'y>=238' [pixels]",
    )
    data.add_argument("--frames", choices=FRAMES, default="all", help="frames to use (default: all)")
    add_mask_flags(data)
    add_check_flag(data)
    how = parser.add_argument_group("reconstruction")
    how.add_argument("--config", type=Path, metavar="YAML", help="file with settings; flags override it")
    how.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (default: 0)")
    how.add_argument(
        "--backend", choices=tuple(BACKENDS), help="backend (default: the one that trained the model)"
    )
    add_flags(how, InferenceConfig, ("refine",), {"refine": "auto"})
    add_flags(
        how,
        PyTorchExecutionConfig,
        ("inference_batch_size", "accelerator", "devices", "precision", "num_workers"),
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Reconstructs and saves."""
    config, execution, backend_chosen = inference_settings(args)
    config.refine = config.refine or "auto"
    model = args.model or (config.model_path if config.model_path != Path() else None)
    source = args.data or config.test_data_file
    if model is None or source is None:
        what, how = (
            ("trained network", "--model PATH, or model_path")
            if model is None
            else ("scan to reconstruct", "--data FILE, or test_data_file")
        )
        raise UsageError(f"no {what} was given: use {how} in the file of --config")
    validate(config)

    from pinn_archive import find_archive
    from pinn_data.checks.solution_facts import in_words
    from pinn_data.files.npz import read_scan
    from pinn_data.scan.stored_patterns import LARGE

    from pinn_dispatch.dispatch import architecture_of, backend_of, reconstruct
    from pinn_dispatch.figures.pictures import reconstruction_figure
    from pinn_dispatch.figures.solution_figure import solution_figure
    from pinn_dispatch.reconstruction import Reconstruction, write_reconstruction

    report = Report(args.quiet or not is_first_process())
    with output_folder(args.output) as folder:
        archive = find_archive(model)
        wrote = backend_of(archive)  # a foreign or truncated archive is told before a long read of the data
        whole = masked(read_scan(source, in_file_above=LARGE), args)
        scan = select(whole, args.region, args.frames)
        first = is_first_process()
        check(scan, args, report)
        report.note(f"reconstructing {len(scan)} patterns of {scan.N} x {scan.N} with {archive}")
        config.model.N = scan.N
        config.model_path, config.test_data_file, config.output_dir = archive, source, folder
        if not backend_chosen:
            config.backend = cast(Framework, wrote)  # another name is refused where the backend is loaded
        execution = replace(execution, enable_progress_bar=False)  # what follows tells of both parts
        with run_log(folder / LOG_NAME if first else Path(os.devnull), quiet=report.quiet) as told:
            result = reconstruct(
                archive,
                scan,
                config,
                execution,
                seed=args.seed,
                backend=config.backend if backend_chosen else None,
                progress=told,
            )
        if not first:
            return
        about = {
            "model": str(archive),
            "data": str(source),
            "region": None if args.region is None else args.region.text,
            "frames": args.frames,
            "mask": args.mask,
            "seed": args.seed,
            "backend": config.backend,
            "architecture": architecture_of(archive),
            **measures(result, scan),
            **_refined(result),
        }
        found = Reconstruction.of(result, about).measured_in(scan.geometry)
        npz, product = write_reconstruction(folder, found, scan)
        picture = folder / "reconstruction.png"
        if found.refined is not None:
            solution_figure(picture, found, source.name)
        else:
            measured, predicted = pattern_pair(result, scan)
            reconstruction_figure(
                picture,
                found,
                measured=measured,
                predicted=predicted,
                subtitle=f"{len(scan)} patterns of {source.name}, R = {result.residual:.3f}, "
                f"{result.seconds['total']:.1f} s",
            )
        metrics = write_json(
            folder / "metrics.json",
            about | {"seconds_command": round(report.seconds, 3)},
        )
    report.result(
        {
            "reconstruction": npz,
            "product": product,
            "picture": picture,
            "metrics": metrics,
            "log": folder / LOG_NAME,
            **(
                {"residual R": f"{result.residual:.4f}"} if found.refined is None else in_words(found.refined)
            ),
            "seconds": _seconds(result, report.seconds),
        }
    )


def _seconds(result: ReconstructionResult, in_all: float) -> str:
    parts = [f"{result.seconds[name]:.1f} {name}" for name in ("network", "solver") if name in result.seconds]
    return f"{', '.join(parts)}, {result.seconds['total']:.1f} to the image, {in_all:.1f} in total"


def _refined(result: ReconstructionResult) -> dict[str, Any]:
    """The results of the solver for ``metrics.json``; `measures` gives those of the image and its time."""
    if result.refined is None:
        return {}
    known = ("R", "patterns", "N", "canvas_origin", "canvas_shape", "seconds_total", "history")
    return {name: value for name, value in result.refined.facts.items() if name not in known}


def measures(result: ReconstructionResult, scan: Scan) -> dict[str, Any]:
    """Measures of a reconstruction that need no truth, for ``metrics.json``."""
    return {
        "R": float(result.residual),
        "patterns": len(scan),
        "N": scan.N,
        "gridsize": int(result.gridsize),
        "canvas_origin": [int(v) for v in result.canvas.origin],
        "canvas_shape": [int(v) for v in result.canvas.shape],
        **{f"seconds_{name}": float(value) for name, value in result.seconds.items()},
        "scales": dict(result.scales),
        "provenance": dict(result.provenance),
    }


def pattern_pair(
    result: ReconstructionResult, scan: Scan
) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
    """(measured, predicted) amplitude (N, N), sqrt(counts), of the pattern nearest to the middle of the
    scan."""
    import numpy as np

    middle = (scan.positions.min(axis=0) + scan.positions.max(axis=0)) / 2
    frame = int(np.argmin(np.sum((scan.positions - middle) ** 2, axis=1)))
    return scan.select([frame]).amplitude()[0], result.predict_amplitude(frame)

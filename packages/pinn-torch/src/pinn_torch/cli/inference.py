"""``pinn-torch infer``, and ``python -m ptycho_torch.inference``: a trained network and a scan in, an image
out."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pinn_config.configs import InferenceConfig
from pinn_data.command.mask_flags import masked
from pinn_data.command.processes import is_first_process

from pinn_torch.cli.command import FlagParser, finished, listen, show_results, warnings_told
from pinn_torch.cli.flags import add_common_flags, add_detector_flags, add_execution_flags, add_settings
from pinn_torch.cli.settings import run_settings
from pinn_torch.cli.shared import INFERENCE_FIELDS, validate_paths
from pinn_torch.errors import UsageError
from pinn_torch.settings.precedence import canonical_defaults

__all__ = ["DEFAULTS", "DESCRIPTION", "SUMMARY", "add_arguments", "build_parser", "main", "run"]

SUMMARY = "reconstruct a scan with a trained network, then refine it with the solver"
DESCRIPTION = """\
Reconstruct a scan: the network makes an image, and the physics solver refines it. Writes reconstruction.npz,
reconstructed_amplitude.png and reconstructed_phase.png. The network and its gridsize are read from the
archive.
"""

_FILES = ("model_path", "test_data_file", "output_dir")
# How groups were made for the training is how they are made here, unless a flag says otherwise.
_GROUPS = (
    "neighbor_count",
    "neighbor_function",
    "min_neighbor_distance",
    "max_neighbor_distance",
    "scan_pattern",
)
DEFAULTS: dict[str, Any] = {
    name: value
    for name, value in canonical_defaults(InferenceConfig).items()
    if name not in ("backend", "debug")
} | {"model_path": None, "refine": "auto"}
"""Setting to value where no flag was typed: those of the specification, and the solver after the network."""

_DATA = (*_FILES, "n_groups", "n_subsample", "subsample_seed")
_IMAGE = tuple(name for name in DEFAULTS if name not in (*_DATA, *_GROUPS))
_OTHER_NAMES = {
    "n_groups": ("n_images", "n_groups"),
    "test_data_file": ("test_data", "test_data_file"),
}
# The specification has this flag here too; batches of a reconstruction are one gather each from memory.
_DESCRIBED = {
    "num_workers": "number of threads that load batches ahead; 0 loads each batch when it is needed"
}


def build_parser(prog: str = "python -m ptycho_torch.inference") -> FlagParser:
    """The parser of this command alone; nothing heavy is imported for it."""
    parser = FlagParser(prog=prog, description=DESCRIPTION)
    add_arguments(parser)
    return parser


def add_arguments(parser: FlagParser) -> None:
    """The flags of this command."""
    parser.usage = f"{parser.prog} --model_path PATH --test_data FILE [--output_dir DIR] [flags]"
    add_settings(parser, "data", InferenceConfig, _DATA, DEFAULTS, _OTHER_NAMES)
    add_detector_flags(parser)
    add_settings(
        parser,
        "groups",
        InferenceConfig,
        _GROUPS,
        DEFAULTS | dict.fromkeys(_GROUPS),
        shown=dict.fromkeys(_GROUPS, "as in the training"),
    )
    add_settings(parser, "image", InferenceConfig, _IMAGE, DEFAULTS)
    add_execution_flags(parser, INFERENCE_FIELDS, _DESCRIBED)
    add_common_flags(parser)


def run(args: argparse.Namespace) -> None:
    """Reconstructs and saves."""
    quiet = args.quiet or not is_first_process()
    listen(quiet=quiet, debug=args.debug)
    if args.seed < 0:
        raise UsageError(f"--seed is {args.seed}, but a whole number >= 0 is needed")
    with warnings_told():
        settings = run_settings(args, "inference", DEFAULTS | {"debug": args.debug})
    model = settings.path("model_path", "model")
    source = settings.path("test_data_file", "scan to reconstruct")
    folder = settings.path("output_dir", "folder")

    from pinn_data.files.npz import read_scan
    from pinn_data.run.outputs import save_outputs
    from pinn_data.run.pictures import flat_phase
    from pinn_data.scan.stored_patterns import LARGE

    from pinn_torch.components import reassemble_cdi_image
    from pinn_torch.settings.config_factory import create_inference_payload

    begun = time.perf_counter()
    payload = create_inference_payload(model, source, folder, **settings.levels())
    validate_paths(None, source, folder)
    config = payload.tf_inference_config
    scan = masked(read_scan(source, in_file_above=LARGE), args)
    if not quiet:
        print(f"reconstructing {len(scan)} patterns of {scan.N} x {scan.N} with {model}", flush=True)
    amplitude, _, results = reassemble_cdi_image(
        scan, config, M=None, execution_config=payload.execution_config, seed=args.seed
    )
    if not is_first_process():
        return
    phase = flat_phase(results["object"], results["coverage"] > 0)
    pictures = save_outputs(amplitude, phase, results, folder)
    y, x = results["canvas_origin"]
    rows, columns = amplitude.shape
    show_results(
        {
            "reconstruction": pictures[-1],
            "amplitude": pictures[0],
            "phase": pictures[1],
            "image": f"{rows} x {columns} pixels from ({y}, {x}), gridsize {results['gridsize']}",
            **_misfit(results),
            "seconds": f"{results['reconstruction_seconds']:.1f} to the image, "
            f"{time.perf_counter() - begun:.1f} in total",
        }
    )


def _misfit(results: Mapping[str, Any]) -> dict[str, str]:
    if results["refined"] is None:
        return {"residual R": f"{results['residual']:.4f}"}
    from pinn_data.checks.solution_facts import in_words

    return in_words(results["refined"])


def main(argv: Sequence[str] | None = None) -> int:
    """Runs this command alone and returns the exit code."""
    return finished(build_parser(), argv, run)

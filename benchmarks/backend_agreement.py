"""Do both backends learn the same? One table: same data, configuration and epochs, three seeds each.

    python -m benchmarks.backend_agreement OUTPUT [--networks NAME ...] [--backends NAME ...] [--seeds 0 1 2]
    python -m benchmarks.backend_agreement OUTPUT --report

Every training is a process of its own with one thread, learns one scan and reconstructs another object that
it never saw. First weights are drawn by each framework for itself, so single trainings differ; the question
is whether the backends differ by more than seeds do. Results are JSON files in OUTPUT; what is there already
is not run again. The table is printed, and written to ``OUTPUT/agreement.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["main", "table"]

BACKENDS = ("pytorch", "tensorflow")
NETWORKS: dict[str, dict[str, Any]] = {
    "refined, gridsize 1": {"architecture": "refined", "gridsize": 1, "epochs": 3},
    "refined, gridsize 2": {"architecture": "refined", "gridsize": 2, "epochs": 3},
    "unrolled, gridsize 2": {"architecture": "unrolled", "gridsize": 2, "epochs": 3},
    "unet, gridsize 1": {"architecture": "unet", "gridsize": 1, "epochs": 6},
    "cnn, gridsize 1": {"architecture": "cnn", "gridsize": 1, "epochs": 12},
}
FIGURES = {
    "misfit": "misfit of the last epoch",
    "ssim_amp": "amplitude SSIM",
    "ssim_phase": "phase SSIM",
    "residual": "R",
}
_SIDE = 24  # patterns along a side of the scan that is learned


def run(name: str, backend: str, seed: int) -> dict[str, float]:
    """The figures of one training."""
    import numpy as np
    from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
    from pinn_config.execution import PyTorchExecutionConfig
    from pinn_data.metrics.scores import evaluate
    from pinn_dispatch.compare.comparison import scan_box
    from pinn_dispatch.demo_scans import demo_scans
    from pinn_dispatch.registry import load_backend

    asked = dict(NETWORKS[name])
    epochs = asked.pop("epochs")
    scan, unseen = demo_scans(0, side=_SIDE)
    engine = load_backend(backend)
    model = ModelConfig(N=scan.N, n_filters_scale=1, **asked)
    with tempfile.TemporaryDirectory() as folder:
        config = TrainingConfig(
            model=model,
            n_groups=len(scan),
            neighbor_count=6,
            batch_size=8,
            nepochs=epochs,
            output_dir=Path(folder),
            backend=backend,
        )
        execution = PyTorchExecutionConfig(
            accelerator="cpu", learning_rate=2e-3, logger_backend="none", enable_checkpointing=False
        )
        result = engine.train(scan, config, execution, seed=seed)
        inference = InferenceConfig(model=model, neighbor_count=6, backend=backend)
        image = engine.reconstruct(result.archive, unseen, inference, execution)
    roi = scan_box(unseen.positions, (0, 0), unseen.object.shape)
    scores = evaluate(image.object, unseen.object, roi=roi, guess=image.canvas.origin)
    last = [row["train_deviance"] for row in result.history if row["epoch"] == result.history[-1]["epoch"]]
    return {
        "misfit": float(np.mean(last)),
        "ssim_amp": float(scores["ssim_amp"]),
        "ssim_phase": float(scores["ssim_phase"]),
        "residual": float(image.residual),
        "steps": int(result.history[-1]["step"]),
    }


def table(records: list[dict[str, Any]]) -> str:
    """Markdown: means and half the spread over seeds, and the difference of the backends by that spread."""
    lines = [
        "| network | epochs | figure | PyTorch | TensorFlow | difference | spread of seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, asked in NETWORKS.items():
        for key, title in FIGURES.items():
            values = {
                backend: [r["figures"][key] for r in records if (r["name"], r["backend"]) == (name, backend)]
                for backend in BACKENDS
            }
            if not all(values.values()):
                continue
            means = [sum(v) / len(v) for v in values.values()]
            spread = max(max(v) - min(v) for v in values.values())
            shown = [f"{sum(v) / len(v):.3f} ({min(v):.3f} to {max(v):.3f})" for v in values.values()]
            lines.append(
                f"| {name} | {asked['epochs']} | {title} | {shown[0]} | {shown[1]} | "
                f"{abs(means[0] - means[1]):.4f} | {spread:.4f} |"
            )
    return "\n".join(lines) + "\n"


def _records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def main() -> int:
    parser = argparse.ArgumentParser(description="Do both backends learn the same?")
    parser.add_argument("output", type=Path)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--backends", nargs="*", default=list(BACKENDS), choices=BACKENDS)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--report", action="store_true", help="only the table of what is there")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.one:
        name, backend, seed = arguments.one
        record = {"name": name, "backend": backend, "seed": int(seed)}
        record["figures"] = run(name, backend, int(seed))
        target = arguments.output / f"{name.replace(', ', '-').replace(' ', '')}-{backend}-{seed}.json"
        target.write_text(json.dumps(record) + "\n")
        return 0
    threads = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    wanted = [(n, b, s) for n in arguments.networks for s in arguments.seeds for b in arguments.backends]
    there = {(r["name"], r["backend"], r["seed"]) for r in _records(arguments.output)}
    for i, key in enumerate(wanted):
        if arguments.report or key in there:
            continue
        print(f"{i + 1} of {len(wanted)}: {key}", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "benchmarks.backend_agreement", str(arguments.output), "--one"]
        subprocess.run([*command, *map(str, key)], check=True, env=os.environ | threads)
    text = table(_records(arguments.output))
    (arguments.output / "agreement.md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

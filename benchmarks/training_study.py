"""What makes the network learn phase: one table and one figure, over seeds.

    python benchmarks/training_study.py TRAIN.npz TEST.npz OUTPUT [--rows NAME ...] [--seeds 0 1] [--part I/K]
    python benchmarks/training_study.py --report OUTPUT

Each row is a recipe. It is trained on one scan for a budget of seconds and reconstructs the other, whose
object it never saw; the scores are those of `pinn_data.metrics.scores`. Every point of a curve is a training
of its own with a finished learning-rate schedule. One process uses one thread, so that two parts can run side
by side; results are JSON files, and a row that is there already is not run again. `--report` writes the table
(Markdown) and the figure.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")

# Name: (overrides of the recommended recipe, budgets in seconds).
CURVE = (15, 45, 120)
LONG = (60, 240)
POINT = (45,)
_PLAIN = {"learning_rate": 1e-3, "batch_size": 16, "gridsize": 1}
_CNN = {"architecture": "cnn", **_PLAIN}
_UNET = {"architecture": "unet", "n_filters_scale": 1, **_PLAIN}
_UNTRAINED = {"untrained": True}
_LOW_DOSE = {"keep_counts": 0.01}
ROWS: dict[str, tuple[dict, tuple[int, ...]]] = {
    "recommended": ({}, CURVE),
    "recommended, untrained": (_UNTRAINED, (0,)),
    "gridsize 1": ({"gridsize": 1}, CURVE),
    "gridsize 1, untrained": ({"gridsize": 1, **_UNTRAINED}, (0,)),
    "gridsize 1, own pattern only": ({"gridsize": 1, "predicted_neighbors": 0}, POINT),
    "unet, gridsize 1": (_UNET, LONG),
    "unet, gridsize 1, untrained": ({**_UNET, **_UNTRAINED}, (0,)),
    "unet, gridsize 1, no skip connections": ({**_UNET, "rewrite": "without_skips"}, LONG[:1]),
    "unet, gridsize 1, Glorot start of the correction": ({**_UNET, "rewrite": "glorot"}, LONG[:1]),
    "cnn, gridsize 1": (_CNN, LONG),
    "cnn, gridsize 1, a skip connection": ({**_CNN, "rewrite": "cnn_with_skip"}, LONG[:1]),
    "cnn, gridsize 1, own pattern only": ({**_CNN, "predicted_neighbors": 0}, LONG[:1]),
    "own patterns only": ({"predicted_neighbors": 0}, POINT),
    "6 predicted neighbours": ({"predicted_neighbors": 6}, POINT),
    "learning rate 1e-3": ({"learning_rate": 1e-3}, POINT),
    "learning rate 1e-2": ({"learning_rate": 1e-2}, POINT),
    "batch 4": ({"batch_size": 4, "learning_rate": 2e-3}, POINT),
    "batch 64": ({"batch_size": 64, "learning_rate": 8e-3}, POINT),
    "constant learning rate": ({"scheduler": "Default", "warmup_steps": 0}, POINT),
    "Glorot start of the corrections": ({"rewrite": "glorot"}, POINT),
    "half the filters": ({"n_filters_scale": 1}, POINT),
    "twice the filters": ({"n_filters_scale": 4}, POINT),
    "one gradient step a stage more": ({"rewrite": "more_steps"}, POINT),
    "one gradient step a stage more, untrained": ({"rewrite": "more_steps", **_UNTRAINED}, (0,)),
    "no gradient steps' momentum": ({"rewrite": "no_momentum"}, POINT),
    "absolute amplitude error, not Poisson": ({"nll_weight": 0.0, "mae_weight": 1.0}, POINT),
    "loss 100 times smaller": ({"nll_weight": 1e-2}, POINT),
    "photon scale fixed": ({"intensity_scale_trainable": False}, POINT),
    "probe twice as strong": ({"probe_scale": 2.0}, POINT),
    "probe half as strong": ({"probe_scale": 8.0}, POINT),
    "probe trained": ({"probe_trainable": True}, POINT),
    "float32": ({"precision": "32-true"}, POINT),
    "denormals kept": ({"denormals": True}, POINT),
    "1 % of the counts": (_LOW_DOSE, POINT),
    "1 % of the counts, untrained": ({**_LOW_DOSE, **_UNTRAINED}, (0,)),
}
RECOMMENDED = {
    "architecture": "unrolled",
    "gridsize": 2,
    "n_filters_scale": 2,
    "learning_rate": 4e-3,
    "batch_size": 16,
    "predicted_neighbors": 3,
    "scheduler": "MultiStage",
    "warmup_steps": 30,
    "precision": "bf16-mixed",
    "neighbor_count": 6,
}


def _rewritten(description: Any, how: str) -> Any:
    """The network with one thing changed: a variant for this study, which no configuration offers."""
    import attrs

    def changed(layer: Any, **attributes: Any) -> Any:
        return attrs.evolve(layer, attributes={**layer.attributes, **attributes})

    layers, renamed = [], {}
    for layer in description.layers:
        layer = attrs.evolve(layer, inputs=tuple(renamed.get(name, name) for name in layer.inputs))
        a = layer.attributes
        if how == "glorot" and a.get("start") == "zero":
            layer = changed(layer, start="glorot")
        if how == "more_steps" and layer.kind == "steps":
            layer = changed(layer, steps=a["steps"] + 1)
        if how == "no_momentum" and layer.kind == "steps":
            layer = changed(layer, momentum=0.0)
        if how == "without_skips":
            if layer.kind == "concat":
                renamed[layer.name] = layer.inputs[0]
                continue
            if layer.name.startswith("decoder") and layer.name.endswith("conv1"):
                layer = changed(layer, in_channels=a["in_channels"] - a["out_channels"])
        if how == "cnn_with_skip" and layer.name in ("amplitude1/conv1", "phase1/conv1"):
            # Encoder and decoder meet at a quarter of the pixels along each side.
            encoder = next(other for other in description.layers if other.name == "encoder2/conv2")
            joined = f"{layer.name}/skip"
            layers.append(type(layer)(joined, "concat", (layer.inputs[0], encoder.name)))
            layer = attrs.evolve(
                changed(layer, in_channels=a["in_channels"] + encoder.attributes["out_channels"]),
                inputs=(joined,),
            )
        layers.append(layer)
    result = attrs.evolve(description, layers=tuple(layers))
    if result == description:
        raise ValueError(f"{how} changes nothing in the network {description.architecture}")
    return result


def _thinned(scan: Any, keep: float) -> Any:
    """The scan as it had been measured with fewer photons: each one is kept with the same chance, so that
    counts stay Poisson distributed."""
    import attrs
    import numpy as np

    counts = np.random.default_rng(0).binomial(np.rint(scan.counts()).astype(np.int64), keep)
    return attrs.evolve(scan, diffraction=counts.astype(np.float32), unit="counts")


def run(*arguments: Any) -> dict:
    """`_run` of the product as it is, or with the one thing changed that no configuration offers."""
    import pinn_torch.model.module
    import torch

    overrides, described = arguments[2], pinn_torch.model.module.network
    with contextlib.ExitStack() as changes:
        if "rewrite" in overrides:
            variant = partial(_variant, described, overrides["rewrite"])
            changes.enter_context(mock.patch.object(pinn_torch.model.module, "network", variant))
        if overrides.get("denormals"):
            torch.set_flush_denormal(False)
            changes.enter_context(mock.patch.object(torch, "set_flush_denormal", lambda mode: True))
        return _run(*arguments)


def _variant(described: Any, how: str, model: Any) -> Any:
    return _rewritten(described(model), how)


def _run(train_file: Path, test_file: Path, overrides: dict, seconds: float, seed: int, threads: int) -> dict:
    """Scores of one training."""
    import torch

    torch.set_num_threads(threads)
    import numpy as np
    from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
    from pinn_config.execution import PyTorchExecutionConfig
    from pinn_data.files.npz import read_scan
    from pinn_data.metrics.scores import evaluate
    from pinn_torch import reconstruct, train

    r = RECOMMENDED | overrides
    scan, unseen = read_scan(train_file), read_scan(test_file)
    if "keep_counts" in r:
        scan, unseen = _thinned(scan, r["keep_counts"]), _thinned(unseen, r["keep_counts"])
    roi = tuple(int(v) for v in np.load(test_file)["roi"])
    model = ModelConfig(
        N=scan.N,
        architecture=r["architecture"],
        gridsize=r["gridsize"],
        n_filters_scale=r["n_filters_scale"],
        probe_scale=r.get("probe_scale", 4.0),
    )
    with tempfile.TemporaryDirectory() as folder:
        config = TrainingConfig(
            model=model,
            n_groups=len(scan),
            neighbor_count=r["neighbor_count"],
            batch_size=r["batch_size"],
            nepochs=1 if r.get("untrained") else 10_000,
            predicted_neighbors=r["predicted_neighbors"],
            nll_weight=r.get("nll_weight", 1.0),
            mae_weight=r.get("mae_weight", 0.0),
            intensity_scale_trainable=r.get("intensity_scale_trainable", True),
            probe_trainable=r.get("probe_trainable", False),
            output_dir=Path(folder),
        )
        execution = PyTorchExecutionConfig(
            # A step of 1e-12 leaves the weights where they start.
            learning_rate=1e-12 if r.get("untrained") else r["learning_rate"],
            scheduler=r["scheduler"],
            warmup_steps=r["warmup_steps"],
            precision=r["precision"],
            logger_backend="none",
            enable_checkpointing=False,
        )
        result = train(scan, config, execution, seed=seed, max_seconds=1.0 if r.get("untrained") else seconds)
        scores: dict = {
            "parameters": result.parameters,
            "steps": result.history[-1]["step"],
            "seconds": result.seconds,
        }
        scores["deviance"] = result.history[-1].get("train_deviance")
        scores["predicted_deviance"] = result.history[-1].get("train_predicted_deviance")
        inference = InferenceConfig(model=model, neighbor_count=r["neighbor_count"])
        recon = reconstruct(result.archive, unseen, inference, execution)
        m = evaluate(recon.object, unseen.object, roi=roi, guess=recon.canvas.origin)
        keys = ("ssim_amp", "ssim_phase", "psnr_amp", "psnr_phase", "frc50_amp", "frc50_phase")
        scores |= {k: float(m[k]) for k in keys}
        scores |= {"R": recon.residual, "inference_seconds": recon.seconds["total"]}
    return scores


def report(folder: Path) -> None:
    """Write study.md and study.png from the JSON files."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    records = [json.loads(p.read_text()) for p in sorted(folder.glob("*.json"))]
    lines = [
        "| recipe | training s | steps | amplitude SSIM | phase SSIM | amplitude FRC 0.5 | phase FRC 0.5 "
        "| R | seeds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, (_, budgets) in ROWS.items():
        for budget in budgets:
            found = [r["scores"] for r in records if r["row"] == name and r["budget"] == budget]
            if not found:
                continue

            def spread(key: str, found: list = found) -> str:
                values = [f[key] for f in found]
                half = (max(values) - min(values)) / 2
                return f"{np.mean(values):.3f} ± {half:.3f}"

            steps = int(np.mean([f["steps"] for f in found]))
            cells = [spread(k) for k in ("ssim_amp", "ssim_phase", "frc50_amp", "frc50_phase", "R")]
            lines.append(f"| {name} | {budget} | {steps} | {' | '.join(cells)} | {len(found)} |")
    (folder / "study.md").write_text("\n".join(lines) + "\n")
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharex=True)
    curves = [n for n, (_, budgets) in ROWS.items() if len(budgets) > 1]
    for axis, key, title in zip(axes, ("ssim_amp", "ssim_phase"), ("amplitude", "phase"), strict=True):
        for colour, name in enumerate(curves):
            points: dict[float, list[float]] = {}
            for r in records:
                # The same network as it starts is the curve's point at no seconds.
                if r["row"] in (name, f"{name}, untrained"):
                    points.setdefault(r["budget"], []).append(r["scores"][key])
            if points:
                x = sorted(points)
                means = [np.mean(points[b]) for b in x]
                axis.plot(x, means, marker="o", ms=3, color=f"C{colour}", label=name)
        axis.axhline(0.8, color="0.6", lw=0.8)
        axis.set(
            title=f"{title} of an object never seen",
            xlabel="seconds of training (one thread)",
            ylabel="SSIM",
        )
    axes[1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(folder / "study.png", dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1])
    parser.add_argument(
        "--part", default="0/1", help="I/K: this process takes every K-th run from the I-th on"
    )
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.report:
        report(options.paths[0])
        return 0
    if len(options.paths) != 3:
        parser.error("TRAIN.npz, TEST.npz and OUTPUT are needed")
    train_file, test_file, output = options.paths
    output.mkdir(parents=True, exist_ok=True)
    part, parts = (int(v) for v in options.part.split("/"))
    runs = [(seed, row, budget) for seed in options.seeds for row in options.rows for budget in ROWS[row][1]]
    for number, (seed, row, budget) in enumerate(runs):
        target = output / f"{row.replace(' ', '_').replace(',', '')}-{budget}-{seed}.json"
        if number % parts != part or target.exists():
            continue
        began = time.perf_counter()
        scores = run(train_file, test_file, ROWS[row][0], budget, seed, options.threads)
        target.write_text(json.dumps({"row": row, "budget": budget, "seed": seed, "scores": scores}))
        print(
            f"{row}, {budget} s, seed {seed}: amplitude {scores['ssim_amp']:.3f}, phase "
            f"{scores['ssim_phase']:.3f} "
            f"({scores['steps']} steps, {time.perf_counter() - began:.0f} s)",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

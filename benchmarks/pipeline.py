"""The two things a user does, from outside: `train` and, from the file to the image, `reconstruct`."""

from __future__ import annotations

import time
from pathlib import Path

from pinn_config.configs import InferenceConfig
from pinn_data.files.npz import read_scan

from benchmarks.clock import medians
from benchmarks.engines import engine
from benchmarks.line import Line
from benchmarks.scans import BATCH, SCAN, configs, model_folder

__all__ = ["file_to_image", "loop"]

_STEPS = 40
_IMAGES = 3


def loop(folder: Path, architecture: str, gridsize: int, backend: str) -> list[Line]:
    """Groups a second in `train`, its loop and loader included, without its first quarter."""
    from pinn_config.architecture import network

    runs = engine(backend)
    peaks = runs.peaks()
    scan = read_scan(folder / SCAN)
    output = folder / f"loop-{backend}-{architecture}-{gridsize}"
    options = {"nepochs": 1, "n_groups": BATCH * _STEPS, "backend": backend}
    config, execution = configs(architecture, gridsize, output, **options)
    before = peaks.rates(medians(peaks.functions, 7))
    rows = runs.train(scan, config, execution).history
    after = peaks.rates(medians(peaks.functions, 7))
    warm = next(row for row in rows if row["step"] >= _STEPS // 4)
    rate = (rows[-1]["step"] - warm["step"]) * BATCH / (rows[-1]["seconds"] - warm["seconds"])
    product, convolution = (max(before[k], after[k]) for k in ("product", "convolution"))
    achieved = rate * 3 * network(config.model).flops(runs.canvas(scan, config, execution))
    return [
        Line(
            f"{runs.title}training loop, {architecture}, gridsize {gridsize}, float32",
            f"{rate:.1f} groups/s, {achieved / 1e9:.0f} GFLOP/s",
            achieved / product,
            "peak",
            beside=f"{achieved / convolution:.2f} of the convolution peak",
            numbers={"groups_per_second": rate, "product": product, "convolution": convolution},
        )
    ]


def file_to_image(folder: Path, architecture: str, gridsize: int, backend: str) -> list[Line]:
    """Groups a second from the NPZ file to the stitched image, against the network alone.

    Reading the archive and the file, grouping, optics, phases and stitching count; the residual R, which is
    worked out after the image, stands beside.
    """
    runs = engine(backend)
    model = model_folder(folder, architecture, gridsize)
    config, execution = configs(architecture, gridsize, folder, backend=backend)
    inference = InferenceConfig(
        model=config.model,
        model_path=model,
        neighbor_count=config.neighbor_count,
        backend=backend,
    )
    alone = [BATCH / runs.network_alone(folder, model, config, execution)]
    rates, shares, whole = [], [], []
    for _ in range(_IMAGES):
        began = time.perf_counter()
        scan = read_scan(folder / SCAN)
        reading = time.perf_counter() - began
        result = runs.reconstruct(model, scan, inference, execution)
        whole.append(len(scan) / (time.perf_counter() - began))
        total = reading + result.seconds["total"]
        rates.append(len(scan) / total)
        shares.append({"reading": reading, **result.seconds})
        alone.append(BATCH / runs.network_alone(folder, model, config, execution))
    middle = sorted(range(_IMAGES), key=lambda i: rates[i])[_IMAGES // 2]
    network_rate = sorted(alone)[len(alone) // 2]
    s = shares[middle]
    beside = f"network {s['network'] / (s['reading'] + s['total']):.0%} of the time, stitching "
    beside += f"{s['stitching'] / (s['reading'] + s['total']):.0%}, reading {s['reading']:.2f} s; "
    beside += f"{whole[middle] / network_rate:.2f} with the residual R"
    return [
        Line(
            f"{runs.title}file to image, {architecture}, gridsize {gridsize}, 1024 positions",
            f"{rates[middle]:.1f} groups/s",
            rates[middle] / network_rate,
            "network alone",
            (">=", 0.70),
            beside,
            numbers={
                "network_alone": alone,
                "file_to_image": rates,
                "with_residual": whole,
                "seconds": shares,
            },
        )
    ]

"""pty-chi's LSQML on one scan, in a Python that has pty-chi and none of our packages.

    python benchmarks/ptychi_child.py SCAN.npz RESULT.npz OPTIONS

OPTIONS is a JSON object: ``epochs`` (list: the state after each is kept), ``batch``, ``modes``,
``free_positions``, ``threads``. ``bad_pixels`` in the scan are left out. CPU seconds are those of the epochs:
imports and the building of the task do not count.
"""

from __future__ import annotations

import json
import logging
import sys
import time

import numpy as np

_BORDER = 8  # pixels around the canvas, for positions that move
_MODE_ENERGY = 0.05  # of each mode that starts from the first
_POSITIONS_FROM = 5  # epoch; and steps of 1: with its 0.3 they get half as far in 50 epochs


def _start_modes(guess: np.ndarray, wanted: int) -> np.ndarray:
    """The guess, and the guess times x, times y, ... where it has fewer modes than wanted: (modes, N, N)."""
    modes = guess.reshape(-1, *guess.shape[-2:]).astype(np.complex64)
    N = modes.shape[-1]
    y, x = np.mgrid[:N, :N] - N // 2
    energy = np.sum(np.abs(modes) ** 2)
    for factor in (x, y, x * y, x**2 - y**2)[: max(0, wanted - len(modes))]:
        more = modes[0] * factor
        more *= np.sqrt(_MODE_ENERGY * energy / np.sum(np.abs(more) ** 2))
        modes = np.concatenate([modes, more[None].astype(np.complex64)])
    return modes * np.sqrt(energy / np.sum(np.abs(modes) ** 2))


def main() -> None:
    source, target, text = sys.argv[1:]
    options = json.loads(text)
    import ptychi.api as api
    import torch
    from ptychi.api.task import PtychographyTask

    torch.set_num_threads(options["threads"])
    logging.disable(logging.WARNING)
    with np.load(source) as file:
        entries = {key: file[key] for key in file.files}
    counts = entries["diff3d"].astype(np.float32)
    if str(entries.get("diffraction_unit", "counts")) == "amplitude":
        counts = counts**2
    positions = np.stack([entries["ycoords"], entries["xcoords"]], 1)
    N = counts.shape[-1]
    corner = np.floor(positions.min(axis=0)).astype(int) - N // 2 - _BORDER
    shape = np.ceil(positions.max(axis=0)).astype(int) + N // 2 + _BORDER + 1 - corner
    shape += shape % 2
    # Its patch at p begins at p + round(shape / 2) - N / 2, ours at y - N / 2; its FFT is not normalised.
    moved = positions - corner - shape // 2
    modes = _start_modes(entries["probeGuess"], options["modes"])

    task_options = api.LSQMLOptions()
    reconstructor = task_options.reconstructor_options
    reconstructor.num_epochs = options["epochs"][-1]
    reconstructor.batch_size = options["batch"]
    reconstructor.default_device = api.Devices.CPU
    reconstructor.random_seed = 0
    task_options.object_options.optimizable = True
    task_options.probe_options.optimizable = True
    task_options.probe_position_options.optimizable = options["free_positions"]
    positions_options = task_options.probe_position_options
    positions_options.optimization_plan.start = _POSITIONS_FROM
    positions_options.step_size = 1.0
    bad = entries.get("bad_pixels")
    task = PtychographyTask(
        task_options,
        diffraction_data=counts,
        object_data=np.ones((1, *shape), np.complex64),
        probe_data=(modes / N)[None],
        probe_position_x_px=moved[:, 1].astype(np.float32),
        probe_position_y_px=moved[:, 0].astype(np.float32),
        valid_pixel_mask=None if bad is None else ~bad,
    )
    states: dict[str, list] = {name: [] for name in ("objects", "probes", "positions", "cpu_s")}
    spent, done = 0.0, 0
    for epoch in options["epochs"]:
        began = time.process_time()
        task.run(epoch - done)
        spent, done = spent + time.process_time() - began, epoch
        states["objects"].append(task.get_data_to_cpu("object", as_numpy=True)[0])
        states["probes"].append(task.get_data_to_cpu("probe", as_numpy=True)[0] * N)
        found = task.get_data_to_cpu("probe_positions", as_numpy=True)
        states["positions"].append(found.astype(np.float64) + corner + shape // 2)
        states["cpu_s"].append(spent)
    np.savez(target, corner=corner, **{name: np.stack(values) for name, values in states.items()})


if __name__ == "__main__":
    main()

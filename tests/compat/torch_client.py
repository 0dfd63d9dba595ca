"""What a process that ptychodus 1.7.0 spawns calls of ``ptycho_torch`` (`model/ptychopinn_torch/`).

``python torch_client.py train|reconstruct FOLDER``; FOLDER holds what the parent pickled and exported. The
calls themselves stand in `client_calls`, beside pinn-torch's own tests of them.
"""

import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
from client_calls import run_reconstruct, run_train
from pinn_data.files.npz import read_scan
from pinn_data.scan.positions import from_ptychodus


def train(folder: Path) -> None:
    configs = pickle.loads((folder / "training.pickle").read_bytes())  # noqa: S301 (as the client does)
    trained = run_train(configs, folder, folder / "out")
    (folder / "model").mkdir()
    shutil.copyfile(trained.checkpoint, folder / "model" / "model.ckpt")


def reconstruct(folder: Path) -> None:
    import attrs

    scan = read_scan(folder / "train_data.npz")
    # The client hands its own positions over, from which `run_reconstruct` is told ours.
    scan = attrs.evolve(scan, positions=from_ptychodus(scan.positions))
    np.save(folder / "image.npy", run_reconstruct(folder / "model" / "model.ckpt", scan))


if __name__ == "__main__":
    {"train": train, "reconstruct": reconstruct}[sys.argv[1]](Path(sys.argv[2]).resolve())
    assert "tensorflow" not in sys.modules

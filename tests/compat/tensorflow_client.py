"""What a process that ptychodus 1.7.0 spawns calls of ``ptycho`` (`model/ptychopinn/`), in its order.

``python tensorflow_client.py train|reconstruct FOLDER``; FOLDER holds what the parent pickled and exported.
"""

import pickle
import sys
from pathlib import Path

import numpy as np


def train(folder: Path) -> None:
    config = pickle.loads((folder / "training.pickle").read_bytes())  # noqa: S301 (as the client does)
    import ptycho.model_manager
    import ptycho.params
    from ptycho.config.config import update_legacy_dict
    from ptycho.raw_data import RawData
    from ptycho.workflows.components import run_cdi_example, save_outputs

    test = RawData.from_file(folder / "test_data.npz")
    learned = RawData.from_file(folder / "train_data.npz")
    config.model.N = learned.diff3d.shape[-1]
    update_legacy_dict(ptycho.params.cfg, config)
    amplitude, phase, results = run_cdi_example(learned, test, config)
    output = folder / "out"
    output.mkdir()
    ptycho.model_manager.save(output)
    save_outputs(amplitude, phase, results, str(output))


def reconstruct(folder: Path) -> None:
    config = pickle.loads((folder / "inference.pickle").read_bytes())  # noqa: S301
    import ptycho.loader
    import ptycho.params
    import ptycho.probe
    from ptycho.config.config import update_legacy_dict
    from ptycho.raw_data import RawData
    from ptycho.tf_helper import reassemble_position
    from ptycho.workflows.components import load_inference_bundle

    with np.load(folder / "train_data.npz") as scan:
        arrays = {name: scan[name] for name in ("xcoords", "ycoords", "diff3d", "probeGuess", "objectGuess")}
    raw = RawData.from_coords_without_pc(**arrays, scan_index=np.zeros(len(arrays["xcoords"]), int))
    config.model.N = raw.diff3d.shape[-1]
    update_legacy_dict(ptycho.params.cfg, config)
    model, _ = load_inference_bundle(folder / "model")
    ptycho.probe.set_probe_guess(None, raw.probeGuess)
    grouped = raw.generate_grouped_data(
        config.model.N, K=7, nsamples=len(raw.diff3d), gridsize=config.model.gridsize
    )
    container = ptycho.loader.load(lambda: grouped, raw.probeGuess, which=None, create_split=False)
    prediction = model.predict([container.X * ptycho.params.get("intensity_scale"), container.local_offsets])
    image = reassemble_position(prediction, container.global_offsets, M=20)
    np.save(folder / "image.npy", np.squeeze(image))


if __name__ == "__main__":
    {"train": train, "reconstruct": reconstruct}[sys.argv[1]](Path(sys.argv[2]).resolve())
    assert "torch" not in sys.modules

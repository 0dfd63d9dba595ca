"""What the GUI process of ptychodus 1.7.0 does for a training and a reconstruction: it makes configurations
and pickles them, and has no framework loaded.

``python parent.py tensorflow|torch FOLDER``
"""

import pickle
import sys
from pathlib import Path


def tensorflow() -> dict[str, object]:
    """The configurations as the client's settings make them: without N, and with placeholders for paths."""
    from ptycho.config.config import InferenceConfig, ModelConfig, TrainingConfig

    def model(N: int) -> ModelConfig:
        return ModelConfig(
            N=N,
            gridsize=1,
            n_filters_scale=1,
            model_type="pinn",
            amp_activation="sigmoid",
            object_big=True,
            probe_big=True,
            probe_mask=False,
            pad_object=True,
            probe_scale=4.0,
            gaussian_smoothing_sigma=0.0,
        )

    training = TrainingConfig(
        model=model(0),
        train_data_file=Path(),
        test_data_file=None,
        batch_size=8,
        nepochs=1,
        mae_weight=0.0,
        nll_weight=1.0,
        realspace_mae_weight=0.0,
        realspace_weight=0.0,
        nphotons=1e9,
        positions_provided=True,
        probe_trainable=False,
        intensity_scale_trainable=True,
        output_dir=Path(),
    )
    inference = InferenceConfig(
        model=model(64), model_path=Path(), test_data_file=Path(), debug=False, output_dir=Path()
    )
    return {"training": training, "inference": inference}


def torch() -> dict[str, object]:
    from client_calls import settings

    return {"training": settings(data={"n_subsample": 2})}


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    for name, configs in {"tensorflow": tensorflow, "torch": torch}[sys.argv[1]]().items():
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(configs))
    # Importing torch is allowed here, what uses it for training is not.
    assert not {"tensorflow", "keras", "lightning"} & sys.modules.keys()

"""What ptychodus 1.7.0 does with `ptycho_torch`, call by call (`model/ptychopinn_torch/_subprocess.py`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from pinn_data.optics.probe import probe_modes
from pinn_data.scan.positions import to_ptychodus
from pinn_data.scan.scan import Scan

# ptychodus' own defaults (settings.py), of those that differ from the dataclasses' and matter here.
DATA = {
    "N": 64,
    "x_bounds": (0.1, 0.9),
    "y_bounds": (0.1, 0.9),
    "n_subsample": 7,
    "max_neighbor_distance": 3.0,
}
TRAINING = {"device": "cuda", "strategy": "ddp_spawn", "n_devices": 1, "num_workers": 4}


def export(path: Path, scan: Scan) -> Path:
    """`save_ptychopinn_training_data`: counts in the detector's type, positions of the patch's middle."""
    y, x = to_ptychodus(scan.positions).T
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        xcoords=x,
        ycoords=y,
        xcoords_start=x,
        ycoords_start=y,
        diff3d=np.asarray(scan.diffraction).astype(np.uint16),
        bad_pixels=np.zeros((scan.N, scan.N), bool),
        probeGuess=probe_modes(scan.probe),
        objectGuess=scan.object if scan.object is not None else np.ones((200, 200), np.complex64),
        scan_index=np.zeros(len(scan), int),
    )
    return path


def settings(
    gridsize: int = 1,
    mode: str = "Unsupervised",
    data: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    inference: dict[str, Any] | None = None,
) -> tuple[Any, Any, Any, Any, Any]:
    """`_build_configs`: the five configurations as the parent makes them."""
    from ptycho_torch.config_params import (
        DataConfig,
        DatagenConfig,
        InferenceConfig,
        ModelConfig,
        TrainingConfig,
    )

    channels = gridsize**2
    return (
        DataConfig(**DATA | {"C": channels, "grid_size": (gridsize, gridsize)} | (data or {})),
        ModelConfig(
            **{
                "mode": mode,
                "object_big": gridsize > 1,
                "C_model": channels,
                "C_forward": channels,
                "decoder_last_amp_channels": channels,
                "probe_mask": None,
                "n_filters_scale": 1,
            }
            | (model or {})
        ),
        TrainingConfig(
            **TRAINING
            | {"epochs": 2, "framework": "Lightning", "orchestrator": "Lightning"}
            | (training or {})
        ),
        InferenceConfig(**inference or {}),
        DatagenConfig(),
    )


@attrs.frozen
class Trained:
    """checkpoint, and the losses that the client's callback saw, as (epoch, value)"""

    checkpoint: Path
    training_loss: list[tuple[int, float]]
    validation_loss: list[tuple[int, float]]
    epochs: int


def run_train(configs: tuple[Any, Any, Any, Any, Any], input_path: Path, output_path: Path) -> Trained:
    """`run_train`."""
    from lightning.pytorch.callbacks import Callback
    from ptycho_torch.api.base_api import (
        ConfigManager,
        DataloaderFormats,
        PtychoDataLoader,
        PtychoModel,
        Trainer,
    )
    from ptycho_torch.lightning_utils import find_best_checkpoint
    from ptycho_torch.model import PtychoPINN_Lightning

    data_config, model_config, training_config, inference_config, datagen_config = configs
    training_config.n_devices = 1
    config_manager = ConfigManager(
        data_config=data_config,
        model_config=model_config,
        training_config=training_config,
        inference_config=inference_config,
        datagen_config=datagen_config,
    )

    class LossCollector(Callback):  # local to the function, so that it cannot be pickled
        def __init__(self, train_metric_name: str, val_metric_name: str) -> None:
            self._names = train_metric_name, val_metric_name
            self.training_loss: list[tuple[int, float]] = []
            self.validation_loss: list[tuple[int, float]] = []
            self.epochs_completed = 0

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            value = trainer.callback_metrics.get(self._names[0])
            if value is not None:
                self.training_loss.append((trainer.current_epoch, float(value)))
            self.epochs_completed = trainer.current_epoch + 1

        def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            if trainer.sanity_checking:
                return
            value = trainer.callback_metrics.get(self._names[1])
            if value is not None:
                self.validation_loss.append((trainer.current_epoch, float(value)))

    data_loader = PtychoDataLoader(
        data_dir=input_path,
        config_manager=config_manager,
        data_format=DataloaderFormats("lightning_only_module"),
        output_dir=output_path,
    )
    model = PtychoModel._new_model(model=PtychoPINN_Lightning, config_manager=config_manager)
    trainer = Trainer._from_lightning(
        model=model, dataloader=data_loader, orchestration="lightning", config_manager=config_manager
    )
    collector = LossCollector(model.model.loss_name, model.model.val_loss_name)
    trainer._trainer.callbacks.append(collector)
    trainer.train(orchestration="lightning", experiment_name="")
    checkpoint = find_best_checkpoint(Path(data_loader.output_dir))
    assert checkpoint is not None
    return Trained(checkpoint, collector.training_loss, collector.validation_loss, collector.epochs_completed)


def run_reconstruct(model_path: Path, scan: Scan) -> NDArray[Any]:
    """`_load_ptycho_model` and `run_reconstruct`."""
    from ptycho_torch.api.base_api import ConfigManager, InferenceEngine, PtychoDataLoader, PtychoModel
    from ptycho_torch.model import PtychoPINN_Lightning

    data_config, model_config, training_config, inference_config = (
        PtychoModel._extract_configs_from_checkpoint(str(model_path))
    )
    assert None not in (data_config, model_config, training_config, inference_config)
    ptycho_model = PtychoModel(
        model_config=model_config,
        data_config=data_config,
        training_config=training_config,
        inference_config=inference_config,
    )
    ptycho_model.model = PtychoPINN_Lightning.load_from_checkpoint(
        model_path,
        model_config=model_config,
        data_config=data_config,
        training_config=training_config,
        inference_config=inference_config,
    )
    config_manager = ConfigManager.from_loaded_model(ptycho_model)
    config_manager.validate_arch_compatibility(ptycho_model)
    assert config_manager.model_config.mode in ("Unsupervised", "Supervised")
    engine = InferenceEngine(config_manager=config_manager, ptycho_model=ptycho_model)
    loader = PtychoDataLoader.from_np(
        diff_patterns=np.asarray(scan.diffraction).astype(np.uint16),
        probe=probe_modes(scan.probe),
        positions=to_ptychodus(scan.positions),
        config_manager=config_manager,
    )
    return np.asarray(engine.predict_and_stitch(loader))

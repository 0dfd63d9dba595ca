"""Compat names of `pinn_torch.api`, as ptychodus imports them."""

from pinn_torch.api.configs import ConfigManager
from pinn_torch.api.data import DataloaderFormats, PtychoDataLoader
from pinn_torch.api.inference import InferenceEngine
from pinn_torch.api.model import PtychoModel
from pinn_torch.api.trainer import Trainer

__all__ = [
    "ConfigManager",
    "DataloaderFormats",
    "InferenceEngine",
    "PtychoDataLoader",
    "PtychoModel",
    "Trainer",
]

"""What an archive holds, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

__all__ = ["Archive", "ModelPayload"]


@attrs.frozen(eq=False)
class ModelPayload:
    """One network: its weights in the canonical layout, and what only the backend that wrote it can read.

    weights : name to real array, in the layout of `pinn_config.architecture`.
    native_name : file name of the native payload, ``'model.keras'`` or ``'model.ckpt'``; None: there is none.
    native : the bytes of that file. They come from whoever made the archive: read a Lightning checkpoint with
        ``weights_only=True`` and a Keras file with ``safe_mode=True``.
    """

    weights: Mapping[str, np.ndarray]
    native_name: str | None = None
    native: bytes | None = None


@attrs.frozen(eq=False)
class Archive:
    """Everything in an archive. Equal archives are equal files; compare those.

    backend : who wrote it, ``'tensorflow'`` or ``'pytorch'``.
    version : of the format, ``'3.0'``.
    models : name (``'autoencoder'``, ``'diffraction_to_obj'``) to payload.
    params : the configuration, as JSON values.
    arrays : what of the configuration is an array, such as the probe.
    provenance : who trained it, on what, when; JSON values.
    """

    backend: str
    version: str
    models: Mapping[str, ModelPayload]
    params: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    provenance: Mapping[str, Any]

"""One training as a value: what is learned, how, and from what it was drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import attrs
from pinn_config.configs import TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.validation import validate

from pinn_data.errors import RunError
from pinn_data.learning.fingerprint import fingerprint
from pinn_data.run.run_record import Origin
from pinn_data.scan.scan import Scan

__all__ = ["TrainingJob"]


@attrs.frozen(eq=False)
class TrainingJob:
    """A training that can begin. It can be pickled, so that several processes can do it together.

    scan : what is learned; of a subsample, its frames alone
    validation : None: nothing validates
    max_seconds : the training ends after this time; None: no limit
    provenance : added to what the archive says of its origin
    is_watched : whether somebody other than a bar is told of the progress, and may stop the training
    has_defaults : whether the caller gave no execution config, so that `execution` is the backend's own
    """

    scan: Scan
    config: TrainingConfig
    execution: PyTorchExecutionConfig
    validation: Scan | None
    seed: int
    max_seconds: float | None
    provenance: Mapping[str, Any] = attrs.field(factory=dict)
    is_watched: bool = False
    has_defaults: bool = False

    @classmethod
    def of(
        cls,
        scan: Scan,
        config: TrainingConfig,
        execution: PyTorchExecutionConfig,
        *,
        validation: Scan | None,
        seed: int,
        max_seconds: float | None,
        provenance: Mapping[str, Any] | None = None,
        is_watched: bool = False,
        has_defaults: bool = False,
    ) -> TrainingJob:
        """Check that scans, configuration and time fit together, and draw the subsample.

        Raises ConfigError, RunError.
        """
        validate(config)
        if scan.N != config.model.N:
            raise RunError(
                f"the patterns are {scan.N} x {scan.N}, but the network is for N={config.model.N}: set "
                f"N={scan.N}, or crop the patterns"
            )
        if validation is not None and validation.N != scan.N:
            raise RunError(
                f"the patterns for the validation are {validation.N} x {validation.N}, "
                f"but those for the training are {scan.N} x {scan.N}: "
                "crop or pad one of them, or leave the validation out"
            )
        if max_seconds is not None and not max_seconds > 0:
            raise RunError(
                f"max_seconds={max_seconds} was given, but it must be above 0, or None for no limit"
            )
        if config.n_subsample is not None:
            draw = seed if config.subsample_seed is None else config.subsample_seed
            scan = scan.select(scan.subsample(config.n_subsample, draw))
        # A client goes on to use what it gave; what was trained stays as it was.
        config = dataclasses.replace(config, model=dataclasses.replace(config.model))
        return cls(
            scan,
            config,
            execution,
            validation,
            seed,
            max_seconds,
            dict(provenance or {}),
            is_watched,
            has_defaults,
        )

    def fingerprint(self, how: str) -> str:
        """What tells this training from another one; see `pinn_data.learning.fingerprint`."""
        return fingerprint(self.scan, self.config, self.execution, self.seed, self.validation, how)

    def origin_facts(self, origin: Origin | None, photons: float) -> dict[str, Any]:
        """What an archive says of the scan that its network learned.

        photons : of a mean pattern
        """
        return {
            "seed": self.seed,
            "training_frames": len(self.scan),
            "training_photons_per_frame": photons,
            "training_data": str(self.scan.source.name) if self.scan.source is not None else None,
            "training_data_sha256": None if origin is None else origin.inputs["input"]["sha256"],
            **self.provenance,
        }

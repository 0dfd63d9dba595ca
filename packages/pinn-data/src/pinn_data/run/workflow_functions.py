"""The workflow functions of the specification (sections 4.5 and 4.8): train, stitch, and both.

They take scans in any form (:func:`pinn_data.grouping.raw_data.scan_of`) and return the dictionary of results
of `pinn_data.run.workflow_results`. Each backend makes them of its own parts.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pinn_config import legacy
from pinn_config.bridge import update_legacy_dict
from pinn_config.configs import InferenceConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig

from pinn_data.run.inference_bundle import attached_models, restore_legacy_dict
from pinn_data.run.run_record import Origin
from pinn_data.run.workflow_results import stitched_part, stitching_results, training_results
from pinn_data.run.workflow_scans import check_window, given_scan, inference_config, turned, two_scans
from pinn_data.run.workflows import Workflows
from pinn_data.scan.scan import Scan

__all__ = ["WorkflowFunctions"]

Image = NDArray[np.float32] | None


class WorkflowFunctions(Workflows):
    """`run_cdi_example`, `train_cdi_model` and `reassemble_cdi_image` of a backend."""

    def run_cdi_example(
        self,
        train_data: Any,
        test_data: Any,
        config: TrainingConfig,
        flip_x: bool = False,
        flip_y: bool = False,
        transpose: bool = False,
        M: int | None = 20,
        do_stitching: bool = False,
        execution_config: PyTorchExecutionConfig | None = None,
        *,
        seed: int = 0,
        max_seconds: float | None = None,
    ) -> tuple[Image, Image, dict[str, Any]]:
        """Train on `train_data` and, if `do_stitching`, reconstruct `test_data` with what was learned.

        `config` is bridged to the legacy dictionary first (`execution_config` never is), and afterwards the
        dictionary is that of the trained model, see `pinn_data.run.inference_bundle.restore_legacy_dict`.

        Parameters
        ----------
        train_data : a scan in any form, or None for ``config.train_data_file``
        test_data : a scan in any form, or None for ``config.test_data_file`` if that is given; it validates
            the training and is what is stitched
        config : with ``output_dir=Path()`` the TensorFlow backend writes nothing
        flip_x, flip_y, transpose : put right the axes of both scans' positions where they were recorded the
            other way round (:func:`pinn_data.scan.positions.reoriented`); patterns and images are not turned
        M : only the central M x M pixels of a patch count in the stitched image; None or 0: as
            `execution_config` says (``middle_trim``), by default all of it, weighted with the probe's
            intensity
        execution_config : None: the backend's own defaults
        seed, max_seconds : as for the backend's `train`

        Returns
        -------
        amplitude, phase : (H, W) float32, or None and None without stitching
        results : see the table of `pinn_data.run.workflow_results`

        Raises
        ------
        PinnDataError (a ValueError)
            A scan cannot be used, or lacks what the settings need; there is none to train on or to stitch; M
            is out of range; `train_data` or `test_data` is no scan (then a TypeError, too).
        RunError (a ValueError)
            What the backend's `train` and `reconstruct` refuse.
        ConfigError, NotFiniteError (a RuntimeError), MemoryError, and a RuntimeError if the framework is
        missing
        """
        self._bridge(config, TrainingConfig)
        train_scan, test_scan = two_scans(train_data, test_data, config, stitched=do_stitching, M=M)
        turn = {"flip_x": flip_x, "flip_y": flip_y, "transpose": transpose}
        train_scan = turned(train_scan, **turn)
        test_scan = None if test_scan is None else turned(test_scan, **turn)
        results = self._trained(train_scan, test_scan, config, execution_config, seed, max_seconds)
        if not do_stitching or test_scan is None:
            return None, None, results
        stitched = self._stitched(
            self.model_of(config), test_scan, inference_config(config), M, execution_config, seed
        )
        results |= stitched_part(results, stitched)
        return results["amplitude"], results["phase"], results

    def train_cdi_model(
        self,
        train_data: Any,
        test_data: Any,
        config: TrainingConfig,
        execution_config: PyTorchExecutionConfig | None = None,
        *,
        seed: int = 0,
        max_seconds: float | None = None,
    ) -> dict[str, Any]:
        """The results of a training, as those of `run_cdi_example` without stitching."""
        self._bridge(config, TrainingConfig)
        train_scan, test_scan = two_scans(train_data, test_data, config)
        return self._trained(train_scan, test_scan, config, execution_config, seed, max_seconds)

    def reassemble_cdi_image(
        self,
        test_data: Any,
        config: TrainingConfig | InferenceConfig,
        flip_x: bool = False,
        flip_y: bool = False,
        transpose: bool = False,
        M: int | None = 20,
        coord_scale: float = 1.0,
        *,
        bundle_path: str | os.PathLike[str] | None = None,
        execution_config: PyTorchExecutionConfig | None = None,
        seed: int = 0,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], dict[str, Any]]:
        """Amplitude, phase and results of a scan, by a model that was trained before.

        bundle_path : its archive; None: ``config.model_path`` of an `InferenceConfig`, or what a training
            with this `TrainingConfig` left: the archive in ``config.output_dir``, and, of the TensorFlow
            backend, where that is ``Path()`` the model of the last training of this process
        coord_scale : the positions are multiplied by it

        The other parameters, and what is raised, are those of `run_cdi_example`; the backend's `reconstruct`
        says what the archive and its path may lack.
        """
        self._bridge(config, (TrainingConfig, InferenceConfig))
        scan = given_scan(test_data, config.test_data_file, "test_data")
        check_window(M, scan)
        scan = turned(scan, flip_x=flip_x, flip_y=flip_y, transpose=transpose, scale=coord_scale)
        if bundle_path is not None:
            model = Path(bundle_path)
        elif isinstance(config, InferenceConfig):
            model = Path(config.model_path)
        else:
            model = self.model_of(config)
        inference = config if isinstance(config, InferenceConfig) else inference_config(config)
        results = self._stitched(model, scan, inference, M, execution_config, seed)
        return results["amplitude"], results["phase"], results

    def _bridge(self, config: Any, kinds: type | tuple[type, ...]) -> None:
        given: Any = config
        if not isinstance(given, kinds):
            names = [kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,))]
            raise TypeError(
                f"the configuration is a {type(config).__name__}, but a {' or an '.join(names)} is needed: "
                "make one of pinn_config.configs"
            )
        update_legacy_dict(legacy.cfg, config)
        self.require()

    def _trained(
        self,
        scan: Scan,
        validation: Scan | None,
        config: TrainingConfig,
        execution: PyTorchExecutionConfig | None,
        seed: int,
        max_seconds: float | None,
    ) -> dict[str, Any]:
        with self.guarded():
            scan, validation = self.correct_scans(scan, validation, config, execution)
            job = self.training_job(
                scan, config, execution, validation=validation, seed=seed, max_seconds=max_seconds
            )
            origin = Origin(job.scan, validation=validation)
            finished = self.finish_training(job, origin)
            models = attached_models(self, finished.trained)
        restore_legacy_dict(finished.trained)
        return training_results(
            self.name,
            finished.archive,
            models,
            rows=finished.history,
            epochs=int(finished.trained.provenance["epochs"]),
            validated=validation is not None,
            intensity_scale=finished.trained.intensity_scale,
            parameters=finished.parameters,
            seconds=finished.seconds,
            scales=finished.scales,
            provenance=self.record(origin, config, finished.execution, seed),
        )

    def _stitched(
        self,
        model: Any,
        scan: Scan,
        config: InferenceConfig,
        M: int | None,
        execution: PyTorchExecutionConfig | None,
        seed: int,
    ) -> dict[str, Any]:
        execution = execution or self.default_execution
        if M and execution.middle_trim == 0:
            execution = dataclasses.replace(execution, middle_trim=M)
        # These functions return the network's own image unless the configuration asks for more.
        config = dataclasses.replace(config, refine=config.refine or "none")
        image = self.reconstruct(model, scan, config, execution, seed=seed)
        return stitching_results(self.name, model if isinstance(model, Path) else None, image)

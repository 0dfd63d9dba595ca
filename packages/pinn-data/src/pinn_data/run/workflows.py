"""The two things that a user does with a network: train on a scan, and reconstruct a scan."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from pinn_archive.reader import find_archive
from pinn_config.configs import InferenceConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig

from pinn_data.command.processes import is_first_process
from pinn_data.progress.reports import Watcher
from pinn_data.progress.verbosity import detailed_logs
from pinn_data.run.backend import Backend
from pinn_data.run.reconstruction_job import ReconstructionJob
from pinn_data.run.refinement import corrected_scans, parts_after_network, refine_image
from pinn_data.run.results import Reconstruction, TrainingResult
from pinn_data.run.run_record import Origin
from pinn_data.run.training_job import TrainingJob
from pinn_data.scan.scan import Scan

__all__ = ["Workflows"]


class Workflows(Backend):
    """`train`, `reconstruct` and `seen_devices` of a backend."""

    def train(
        self,
        scan: Scan,
        config: TrainingConfig,
        execution: PyTorchExecutionConfig | None = None,
        *,
        validation: Scan | None = None,
        seed: int = 0,
        max_seconds: float | None = None,
        progress: Watcher | None = None,
    ) -> TrainingResult:
        """Train the network of `config.model` on a scan, and write ``config.output_dir/wts.h5.zip``.

        With `execution.enable_checkpointing` the end of every epoch is kept, and the same call after an
        interruption goes on from there, on a CPU to the same weights to the bit; the best epochs are kept
        besides.

        config : where its ``refine`` says so, the solver corrects the scans before they are learned
            (`pinn_data.run.refinement.corrected_scans`)
        execution : how it is done, by either backend; None: the backend's defaults
        max_seconds : the training ends after this time, with a finished learning-rate schedule, if
            `config.nepochs` do not end it before
        progress : is told after every batch and epoch how far the training is, and may stop it
            (`pinn_data.progress.reports`); the archive then holds what was learned so far, and the same call
            goes on after the last finished epoch

        Raises
        ------
        ConfigError, RunError (ValueError), NotFiniteError (RuntimeError), PinnDataError (a ValueError: the
        scan cannot be used, or lacks what the settings need), CancelledError (a RuntimeError: stopped before
        the first step), MemoryError, and a RuntimeError if the framework is missing
        """
        self.require()
        with self.guarded():
            scan, validation = self.correct_scans(scan, validation, config, execution, progress)
            job = self.training_job(
                scan,
                config,
                execution,
                validation=validation,
                seed=seed,
                max_seconds=max_seconds,
                is_watched=progress is not None,
            )
            return self.run_job(job, progress)

    def reconstruct(
        self,
        model: Path | Any,
        scan: Scan,
        config: InferenceConfig | None = None,
        execution: PyTorchExecutionConfig | None = None,
        *,
        seed: int = 0,
        progress: Watcher | None = None,
    ) -> Reconstruction:
        """The object of a scan from the archive (or its folder) of a training, or from a trained model of
        this process.

        config : its ``refine`` says what the solver may find after the network (None: 'auto'; 'none': the
            image is the network's own)
        progress : is told after every batch and epoch how far it is, and may stop it
            (`pinn_data.progress.reports`)

        Raises
        ------
        ArchiveError (ValueError), ArchiveNotFoundError (FileNotFoundError), RunError (ValueError),
        PinnDataError (a ValueError: the scan cannot be used), CancelledError (a RuntimeError: stopped by
        `progress`), MemoryError, and a RuntimeError if the framework is missing
        """
        self.require()
        wanted = config is not None and config.debug is True
        with self.guarded(), detailed_logs(wanted, self.package):
            return self.refined_image(model, scan, config, execution, seed=seed, progress=progress)

    def seen_devices(self) -> list[dict[str, Any]]:
        """The devices that the framework sees on this machine, the CPU first.

        Each has ``kind`` ('cpu', 'cuda', 'mps') and ``name``; where the framework tells, ``memory_bytes``,
        ``free_bytes`` and, of the CPU, ``threads`` (0: as many as it likes).

        Raises a RuntimeError if the framework is missing.
        """
        self.require()
        return self.list_devices()

    def training_job(
        self,
        scan: Scan,
        config: TrainingConfig,
        execution: PyTorchExecutionConfig | None,
        **job: Any,
    ) -> TrainingJob:
        """`pinn_data.run.training_job.TrainingJob.of`, in the precision that the device has."""
        used = execution or self.default_execution
        used = replace(used, precision=self.precision_for(used))
        return TrainingJob.of(scan, config, used, has_defaults=execution is None, **job)

    def run_job(self, job: TrainingJob, progress: Watcher | None = None, **own: Any) -> TrainingResult:
        """Train, with the record of the run. own : what the backend's `run_training` takes besides"""
        origin = Origin(job.scan, validation=job.validation)
        result = self.run_training(job, origin, progress, **own)
        return attrs.evolve(result, provenance=self.record(origin, job.config, job.execution, job.seed))

    def record(
        self, origin: Origin, config: Any, execution: PyTorchExecutionConfig, seed: int
    ) -> dict[str, Any]:
        """The record of a run of this backend; see `pinn_data.run.run_record`."""
        return origin.record(
            config,
            execution,
            seed=seed,
            backend=self.name,
            package=self.package,
            frameworks=self.framework_versions(),
        )

    def correct_scans(
        self,
        scan: Scan,
        validation: Scan | None,
        config: TrainingConfig,
        execution: PyTorchExecutionConfig | None,
        progress: Watcher | None = None,
    ) -> tuple[Scan, Scan | None]:
        """`pinn_data.run.refinement.corrected_scans` on the device of the training."""
        execution = execution or self.default_execution
        solve, _ = self.solver_for(execution)
        return corrected_scans(scan, validation, config, solve, bar=_has_bar(execution), progress=progress)

    def refined_image(
        self,
        model: Path | Any,
        scan: Scan,
        config: InferenceConfig | None,
        execution: PyTorchExecutionConfig | None,
        *,
        seed: int,
        progress: Watcher | None,
    ) -> Reconstruction:
        """The network's image and, unless `config` says no, what the solver makes of it."""
        parts = parts_after_network(config)
        execution = execution or self.default_execution
        network = partial(self.network_image, model, scan, config, execution, seed=seed)
        if parts is None:
            return network(progress=progress)
        solve, operations = self.solver_for(execution)
        return refine_image(
            lambda watcher: network(progress=watcher),
            scan,
            parts,
            solve,
            operations,
            border_px=0 if config is None else config.border_px,
            bar=_has_bar(execution),
            progress=progress,
        )

    def network_image(
        self,
        model: Path | Any,
        scan: Scan,
        config: InferenceConfig | None,
        execution: PyTorchExecutionConfig | None,
        *,
        seed: int,
        progress: Watcher | None = None,
    ) -> Reconstruction:
        """The network's own image of a scan, from an archive or a trained model, which stays as it is."""
        is_path = not self.is_trained(model)
        trained: Any = self.load_model(model) if is_path else model
        execution = execution or self.default_execution
        job = ReconstructionJob.of(
            trained, scan, config, execution, precision=self.precision_for(execution), seed=seed
        )
        origin = Origin(scan, model=find_archive(model) if is_path else None)
        result = self.run_network(trained, job, progress)
        return attrs.evolve(result, provenance=self.record(origin, job.config, job.execution, seed))


def _has_bar(execution: PyTorchExecutionConfig) -> bool:
    return execution.enable_progress_bar and is_first_process()

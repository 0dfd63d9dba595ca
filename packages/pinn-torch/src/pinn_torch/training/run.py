"""One training, from a scan to an archive."""

from __future__ import annotations

import dataclasses
import logging
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping
from pinn_config.configs import TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.objective import Objective
from pinn_config.validation import validate
from pinn_data.command.processes import is_first_process
from pinn_data.optics.probe import probe_modes
from pinn_data.progress.bar import progress_bar
from pinn_data.progress.reports import CancelledError, Report, Watcher
from pinn_data.run.fingerprint import fingerprint
from pinn_data.run.results import TrainingResult, scales
from pinn_data.run.run_record import Origin
from pinn_data.scan.scan import Scan

from pinn_torch import BACKEND
from pinn_torch.archive.model_archive import framework_versions, save_model
from pinn_torch.distributed.ranks import Team
from pinn_torch.distributed.spawn import together
from pinn_torch.distributed.strategies import Meeting, precision_options, processes_for, strategy_for
from pinn_torch.errors import TorchRunError
from pinn_torch.model.batch_statistics import share_statistics
from pinn_torch.model.module import PtychoPINN_Lightning
from pinn_torch.runtime.compilation import compiled
from pinn_torch.runtime.devices import device_of, prepare_cpu, resolved_precision
from pinn_torch.training.checkpoints import (
    FOLDER,
    ResumePoint,
    WholeFiles,
    best_checkpoints,
    fit_options,
)
from pinn_torch.training.datamodule import ScanDataModule
from pinn_torch.training.interruption import interrupts_reach_the_caller
from pinn_torch.training.loggers import experiment_logger
from pinn_torch.training.progress import History, Telling

__all__ = ["run_training"]

_LOG = logging.getLogger(__name__)


def run_training(
    scan: Scan,
    config: TrainingConfig,
    execution: PyTorchExecutionConfig | None,
    *,
    validation: Scan | None,
    seed: int,
    max_seconds: float | None,
    module: PtychoPINN_Lightning | None = None,
    callbacks: Sequence[lightning.Callback] = (),
    provenance: Mapping[str, Any] | None = None,
    progress: Watcher | None = None,
) -> TrainingResult:
    """See `pinn_torch.workflows.train`.

    module : trained in place of a new one; it adopts the scan's probe and intensity scale
    callbacks : called after our own, in this process only
    provenance : added to what the archive says of its origin
    """
    execution = execution or PyTorchExecutionConfig()
    validate(config)
    if scan.N != config.model.N:
        raise TorchRunError(
            f"the patterns are {scan.N} x {scan.N}, but the network is for N={config.model.N}: set "
            f"N={scan.N}, or crop the patterns"
        )
    if validation is not None and validation.N != scan.N:
        raise TorchRunError(
            f"the patterns for the validation are {validation.N} x {validation.N}, "
            f"but those for the training are {scan.N} x {scan.N}: "
            "crop or pad one of them, or leave the validation out"
        )
    if max_seconds is not None and not max_seconds > 0:
        raise TorchRunError(
            f"max_seconds={max_seconds} was given, but it must be above 0, or None for no limit"
        )
    if config.n_subsample is not None:
        draw = seed if config.subsample_seed is None else config.subsample_seed
        scan = scan.select(scan.subsample(config.n_subsample, draw))
    _tell_what_workers_leave_reproducible(execution)
    device = device_of(execution.accelerator)
    processes = processes_for(execution, device)
    execution = dataclasses.replace(execution, precision=resolved_precision(device, execution.precision))
    shared = {
        "scan": scan,
        "config": config,
        "execution": execution,
        "validation": validation,
        "seed": seed,
        "max_seconds": max_seconds,
        "module": module,
        "provenance": dict(provenance or {}),
        "watched": progress is not None,
    }
    origin = Origin(scan, validation=validation)
    own = {"callbacks": callbacks, "origin": origin, "progress": progress}
    result = together(_train, shared, own, processes=processes, device=device)
    record = origin.record(
        config, execution, seed=seed, backend=BACKEND, package="pinn_torch", frameworks=framework_versions()
    )
    return attrs.evolve(result, provenance=record)


def _tell_what_workers_leave_reproducible(execution: PyTorchExecutionConfig) -> None:
    """As cli_flag_rationale.md asks; a batch is a list of frame numbers, which the main process draws."""
    if execution.num_workers > 0 and execution.deterministic is True and is_first_process():
        _LOG.warning(
            "num_workers=%d with deterministic=True: the workers draw nothing, so the same seed gives the "
            "same weights with any number of them on the same machine and software, but not on another "
            "device, platform or version, nor where max_seconds ends the training",
            execution.num_workers,
        )


def _train(
    team: Team,
    execution: PyTorchExecutionConfig,
    watched: bool,
    progress: Watcher | None = None,
    **training: Any,
) -> TrainingResult:
    """The share of one process, of which the first one tells how far it is."""
    with progress_bar(execution.enable_progress_bar and team.is_first) as bar:
        report = Report("training", bar, progress) if team.is_first else None
        return _learn(team, execution=execution, report=report, may_stop=watched, **training)


def _learn(
    team: Team,
    scan: Scan,
    config: TrainingConfig,
    execution: PyTorchExecutionConfig,
    validation: Scan | None,
    seed: int,
    max_seconds: float | None,
    module: PtychoPINN_Lightning | None,
    provenance: Mapping[str, Any],
    report: Report | None,
    may_stop: bool,
    callbacks: Sequence[lightning.Callback] = (),
    origin: Origin | None = None,
) -> TrainingResult:
    """The training of one process; the first one writes the files and has the result that counts."""
    device = team.device(device_of(execution.accelerator))
    if device.type == "cpu":
        prepare_cpu()
    lightning.seed_everything(seed, workers=True, verbose=False)
    data = ScanDataModule(scan, config, execution, validation=validation, seed=seed, team=team)
    probe = torch.from_numpy(probe_modes(scan.probe))
    if module is None:
        module = PtychoPINN_Lightning.of(config, execution, probe, data.stack.intensity_scale)
    else:
        module.execution, module.objective, module.config = execution, Objective.of(config), config
        module.adopt(probe, data.stack.intensity_scale)
    history = History(max_seconds, team)
    module.progress = history.agreed
    telling = Telling(history, report, team, may_stop=may_stop)
    own: list[Any] = [history, telling]
    folder = Path(config.output_dir) / FOLDER
    metric = module.monitored(validation is not None)
    own.append(
        EarlyStopping(
            metric,
            mode=execution.checkpoint_mode,
            patience=execution.early_stop_patience,
            check_on_train_epoch_end=True,
        )
    )
    best = best_checkpoints(execution, metric, folder)
    if best is not None:
        own.append(best)
    resume, unfinished = None, None
    if execution.enable_checkpointing:
        resume = ResumePoint(
            folder, fingerprint(scan, config, execution, seed, validation, repr(module.schedule))
        )
        unfinished = _agreed(team, resume)
        data.first_epoch = unfinished["epoch"] + 1 if unfinished else 0
        own.append(resume)
    trainer = _trainer(config, execution, device, [*own, *callbacks], max_seconds, team)
    with warnings.catch_warnings():
        # Lightning advises on workers and on missing validation; both are choices here.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"lightning\.")
        # How it uses torch is not for the user to mend.
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"lightning\.")
        # The kernels lie in memory as the convolutions want them, not as DDP's buckets do.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        try:
            with (
                interrupts_reach_the_caller(trainer),
                compiled(module.network, device, execution.compile),
            ):
                trainer.fit(module, datamodule=data, **fit_options(resume.path if unfinished else None))
        finally:
            module.progress = None  # the module may outlast this training and its history
            share_statistics(module.network, None)
    if telling.stopped and trainer.global_step == 0:
        raise CancelledError(
            "the training was cancelled before its first step, so nothing was learned and no archive was "
            "written"
        )
    seconds = history.seconds
    checkpoint = _checkpoint(trainer)
    archive = None
    if team.is_first:
        archive = save_model(
            config.output_dir,
            module,
            config,
            checkpoint,
            {
                "seed": seed,
                "steps": trainer.global_step,
                "epochs": trainer.current_epoch,
                "training_seconds": round(seconds, 3),
                "training_processes": team.size,
                "training_frames": len(scan),
                "training_photons_per_frame": data.stack.nphotons,
                "training_data": str(scan.source.name) if scan.source is not None else None,
                "training_data_sha256": None if origin is None else origin.inputs["input"]["sha256"],
                **provenance,
            },
        )
        if resume is not None and not telling.stopped:
            resume.finished()
    telling.finish(trainer)
    return TrainingResult(
        team.first(archive),
        history.rows,
        seconds,
        sum(p.numel() for p in module.network.parameters()),
        unfinished["epoch"] + 1 if unfinished else None,
        scales(
            nphotons=data.stack.nphotons,
            normalisation=data.stack.scale,
            intensity_scale=module.log_intensity_scale.detach().cpu().exp(),
        ),
        cancelled=telling.stopped,
    )


def _trainer(
    config: TrainingConfig,
    execution: PyTorchExecutionConfig,
    device: torch.device,
    callbacks: list[Any],
    max_seconds: float | None,
    team: Team,
) -> lightning.Trainer:
    folder = Path(config.output_dir)
    precision = precision_options(execution.precision, device)
    # Lightning tells of devices and tips on every run; the command line shows what matters.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    return lightning.Trainer(
        accelerator={"mps": "mps", "cuda": "gpu"}.get(device.type, "cpu"),
        devices=team.local_size,
        num_nodes=team.nodes,
        strategy=strategy_for(team, execution.strategy, device),
        **precision | {"plugins": [Meeting(team), WholeFiles(), *precision.get("plugins", [])]},
        deterministic=execution.deterministic,
        max_epochs=config.nepochs,
        max_time=timedelta(seconds=max_seconds) if max_seconds else None,
        accumulate_grad_batches=execution.accum_steps,
        gradient_clip_val=execution.gradient_clip_val,
        gradient_clip_algorithm=execution.gradient_clip_algorithm if execution.gradient_clip_val else None,
        logger=experiment_logger(execution.logger_backend, folder) if team.is_first else False,
        # Lightning looks here, and by default in the working directory, for checkpoints of its own.
        default_root_dir=folder,
        callbacks=callbacks,
        enable_checkpointing=execution.enable_checkpointing,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        log_every_n_steps=10,
        use_distributed_sampler=False,
    )


def _agreed(team: Team, resume: ResumePoint) -> Mapping[str, Any] | None:
    """What is found to resume, by all processes alike.

    Raises TorchRunError where they see other files or have other data.
    """
    unfinished = resume.found()
    seen = team.all((resume.fingerprint, unfinished["epoch"] if unfinished else None))
    if any(fingerprint != seen[0][0] for fingerprint, _ in seen):
        raise TorchRunError(
            "the processes of this training were given different data or settings: start all of them with "
            "the same arguments"
        )
    if any(epoch != seen[0][1] for _, epoch in seen):
        raise TorchRunError(
            f"not every process sees the same checkpoints in {resume.path.parent}: choose an output "
            "folder that all machines share"
        )
    return unfinished


def _checkpoint(trainer: lightning.Trainer) -> bytes | None:
    """Bytes of a Lightning checkpoint without optimiser state, which `torch.load(weights_only=True)`
    reads; None but for the first process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.ckpt"
        trainer.save_checkpoint(path, weights_only=True)  # every process takes part in collecting the state
        return path.read_bytes() if trainer.is_global_zero else None

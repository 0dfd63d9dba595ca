"""One training, from a scan to an archive."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.objective import Objective
from pinn_data.command.processes import is_first_process
from pinn_data.learning.history import History
from pinn_data.optics.probe import probe_modes
from pinn_data.progress.bar import progress_bar
from pinn_data.progress.reports import CancelledError, Report, Watcher
from pinn_data.run.results import TrainingResult, scales
from pinn_data.run.run_record import Origin
from pinn_data.run.training_job import TrainingJob

from pinn_torch.archive.model_archive import save_model
from pinn_torch.distributed.ranks import Team
from pinn_torch.distributed.spawn import run_on_all_ranks
from pinn_torch.distributed.strategies import Meeting, precision_options, processes_for, strategy_for
from pinn_torch.errors import RunError
from pinn_torch.model.batch_statistics import share_statistics
from pinn_torch.model.module import PtychoPINN_Lightning
from pinn_torch.runtime.compilation import compiled
from pinn_torch.runtime.devices import device_of, prepare_cpu
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
from pinn_torch.training.progress import HistoryCallback, ProgressCallback

__all__ = ["run_training"]

_LOG = logging.getLogger(__name__)


def run_training(
    job: TrainingJob,
    origin: Origin,
    progress: Watcher | None,
    *,
    module: PtychoPINN_Lightning | None = None,
    callbacks: Sequence[lightning.Callback] = (),
) -> TrainingResult:
    """Train in one process or several, and write the archive.

    module : trained in place of a new one; it adopts the scan's probe and intensity scale
    callbacks : called after our own, in this process only
    """
    _tell_what_workers_leave_reproducible(job.execution)
    device = device_of(job.execution.accelerator)
    return run_on_all_ranks(
        _train,
        {"job": job, "module": module},
        {"callbacks": callbacks, "origin": origin, "progress": progress},
        processes=processes_for(job.execution, device),
        device=device,
    )


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
    job: TrainingJob,
    module: PtychoPINN_Lightning | None,
    callbacks: Sequence[lightning.Callback] = (),
    origin: Origin | None = None,
    progress: Watcher | None = None,
) -> TrainingResult:
    """The share of one process; the first one reports, writes the files and has the result that counts."""
    with progress_bar(job.execution.enable_progress_bar and team.is_first) as bar:
        report = Report("training", bar, progress) if team.is_first else None
        return _learn(team, job, module, callbacks, origin, report)


def _learn(
    team: Team,
    job: TrainingJob,
    module: PtychoPINN_Lightning | None,
    callbacks: Sequence[lightning.Callback],
    origin: Origin | None,
    report: Report | None,
) -> TrainingResult:
    config, execution = job.config, job.execution
    device = team.device(device_of(execution.accelerator))
    if device.type == "cpu":
        prepare_cpu()
    lightning.seed_everything(job.seed, workers=True, verbose=False)
    data = ScanDataModule(job.scan, config, execution, validation=job.validation, seed=job.seed, team=team)
    probe = torch.from_numpy(probe_modes(job.scan.probe))
    if module is None:
        module = PtychoPINN_Lightning.of(config, execution, probe, data.stack.intensity_scale)
    else:
        module.execution, module.objective, module.config = execution, Objective.of(config), config
        module.adopt(probe, data.stack.intensity_scale)
    history = History(job.max_seconds)
    module.progress = partial(_agreed_share, history, team)
    reporting = ProgressCallback(history, report, team, may_stop=job.is_watched)
    own: list[Any] = [HistoryCallback(history), reporting]
    folder = Path(config.output_dir) / FOLDER
    metric = module.monitored(job.validation is not None)
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
        resume = ResumePoint(folder, job.fingerprint(repr(module.schedule)))
        unfinished = _agreed(team, resume)
        data.first_epoch = unfinished["epoch"] + 1 if unfinished else 0
        own.append(resume)
    trainer = _trainer(job, device, [*own, *callbacks], team)
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
                trainer.fit(
                    module,
                    datamodule=data,
                    **fit_options(resume.path if resume is not None and unfinished else None),
                )
        finally:
            module.progress = None  # the module may outlast this training and its history
            share_statistics(module.network, None)
    if reporting.stopped and trainer.global_step == 0:
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
                "steps": trainer.global_step,
                "epochs": trainer.current_epoch,
                "training_seconds": round(seconds, 3),
                "training_processes": team.size,
                **job.origin_facts(origin, data.stack.nphotons),
            },
        )
        if resume is not None and not reporting.stopped:
            resume.finished()
    reporting.finish(trainer)
    return TrainingResult(
        team.first(archive),
        history.rows,
        seconds,
        sum(p.numel() for p in module.network.parameters()),
        unfinished["epoch"] + 1 if unfinished else None,
        scales(
            nphotons=data.stack.nphotons,
            normalisation=data.stack.scale,
            intensity_scale=float(module.log_intensity_scale.detach().cpu().exp()),
        ),
        cancelled=reporting.stopped,
    )


def _agreed_share(history: History, team: Team, step: int) -> float:
    """How far the training is, by the clock of the first process: a schedule must be the same in all."""
    share = history.done(step)
    return team.first(share) if history.max_seconds else share


def _trainer(job: TrainingJob, device: torch.device, callbacks: list[Any], team: Team) -> lightning.Trainer:
    config, execution = job.config, job.execution
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
        max_time=timedelta(seconds=job.max_seconds) if job.max_seconds else None,
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

    Raises RunError where they see other files or have other data.
    """
    unfinished = resume.found()
    seen = team.all((resume.fingerprint, unfinished["epoch"] if unfinished else None))
    if any(fingerprint != seen[0][0] for fingerprint, _ in seen):
        raise RunError(
            "the processes of this training were given different data or settings: start all of them with "
            "the same arguments"
        )
    if any(epoch != seen[0][1] for _, epoch in seen):
        raise RunError(
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

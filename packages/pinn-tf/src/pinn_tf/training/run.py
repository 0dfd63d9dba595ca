"""One training, from a scan to an archive."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from pinn_config.learning_rate import learning_rate_factor
from pinn_config.objective import Objective
from pinn_data.learning.history import History
from pinn_data.optics.probe import probe_modes
from pinn_data.progress.bar import progress_bar
from pinn_data.progress.reports import Cancel, CancelledError, Report, Watcher
from pinn_data.run.results import TrainingResult, scales
from pinn_data.run.run_record import Origin
from pinn_data.run.training_job import TrainingJob

from pinn_tf import BACKEND, __version__
from pinn_tf.archive.model_archive import TrainedModel, save_model
from pinn_tf.errors import NotFiniteError
from pinn_tf.model.module import PtychoPINN
from pinn_tf.runtime.devices import GPU, device_of, network_precision, on_device
from pinn_tf.training.checkpoints import FOLDER, BestEpochs, ResumePoint, Stopped
from pinn_tf.training.datamodule import GroupBatches
from pinn_tf.training.loggers import MetricsLogger, metrics_logger
from pinn_tf.training.optimisation import Optimiser
from pinn_tf.training.training_policy import Course

__all__ = ["Learned", "learn"]

_LOG_EVERY = 10
"""Steps between two entries of a logger."""


@attrs.frozen(eq=False)
class Learned:
    """What a training has made, before anything of it is in an archive.

    history, seconds, resumed_after, scales, cancelled : as in `pinn_data.run.results.TrainingResult`
    tell_end : tells whoever watches that the archive is written
    """

    trained: TrainedModel
    history: list[dict[str, Any]]
    seconds: float
    resumed_after: int | None
    resume: ResumePoint | None
    scales: Mapping[str, float]
    cancelled: bool = attrs.field(kw_only=True)
    tell_end: Callable[[], None] = attrs.field(kw_only=True)

    def saved(self, folder: Path) -> TrainingResult:
        """Write the archive, after which there is nothing left to resume but of a training that was
        cancelled."""
        archive = save_model(folder, self.trained)
        if self.resume is not None and not self.cancelled:
            self.resume.finished()
        self.tell_end()
        return TrainingResult(
            archive,
            self.history,
            self.seconds,
            self.parameters,
            self.resumed_after,
            self.scales,
            cancelled=self.cancelled,
        )

    @property
    def parameters(self) -> int:
        """Trained numbers of the network."""
        return sum(map(math.prod, self.trained.module.network.description.parameters().values()))


def learn(job: TrainingJob, origin: Origin, folder: Path | None, progress: Watcher | None = None) -> Learned:
    """The training itself.

    folder : for checkpoints and logs; None: nothing is written, whatever the execution says of both
    """
    if folder is None:
        plain = dataclasses.replace(job.execution, enable_checkpointing=False, logger_backend="none")
        job = attrs.evolve(job, execution=plain)
    device = device_of(job.execution.accelerator)
    if device == GPU and job.execution.deterministic is True:
        # Lasts for this process; TensorFlow has no way back.
        tf.config.experimental.enable_op_determinism()
    with on_device(device), progress_bar(job.execution.enable_progress_bar) as bar:
        return _Training(job, origin, folder).run(Report("training", bar, progress))


class _Training:
    """The state of a training from its first epoch to its last."""

    def __init__(self, job: TrainingJob, origin: Origin, folder: Path | None) -> None:
        self.job, self.origin, self.folder = job, origin, folder
        scan, config, execution = job.scan, job.config, job.execution
        objective = Objective.of(config)
        validates = job.validation is not None
        self.course = (
            Course.historical(objective, validates)
            if job.has_defaults
            else Course.of(execution, objective, validates)
        )
        self.data = GroupBatches(scan, config, execution, validation=job.validation, seed=job.seed)
        self.module = PtychoPINN(
            config.model,
            probe_modes(scan.probe),
            self.data.stack.intensity_scale,
            objective=objective,
            precision=network_precision(execution.precision),
            probe_trainable=config.probe_trainable,
            intensity_scale_trainable=config.intensity_scale_trainable,
            seed=job.seed,
        )
        self.optimiser = Optimiser(self.module, execution)
        self.history = History(job.max_seconds, self.data.steps_per_epoch * config.nepochs)
        self.rate = execution.learning_rate
        self.step = self.epochs = 0
        self.best_weights: list[NDArray[Any]] | None = None
        self.best = self.resume = None
        self.resumed_after: int | None = None
        if execution.enable_checkpointing and folder is not None:
            self.best = BestEpochs.of(execution, self.course.stopping_metric, folder / FOLDER)
            how = f"{BACKEND} {__version__} {'historical' if job.has_defaults else ''}"
            self.resume = ResumePoint(folder / FOLDER, job.fingerprint(how))
            stopped = self.resume.found()
            if stopped is not None:
                self._go_on_from(stopped)

    def run(self, report: Report) -> Learned:
        logger = (
            metrics_logger(self.job.execution.logger_backend, self.folder) if self.folder else nullcontext()
        )
        try:
            self._tell(report, self.epochs)
            with logger as log:
                for epoch in range(self.epochs, self.job.config.nepochs):
                    # A run that was resumed may have ended with its last finished epoch.
                    if self.course.is_over:
                        break
                    metrics = self._epoch(epoch, log, report)
                    self._follow(epoch, metrics, log)
                    self._tell(report, epoch)
                    if self.history.is_over:
                        break
            cancelled = False
        except Cancel:
            cancelled = True
        if cancelled and self.step == 0:
            raise CancelledError(
                "the training was cancelled before its first step, so nothing was learned and no archive was "
                "written"
            )
        self.history.close()
        seconds = self.history.seconds
        self.optimiser.clear()
        if self.best_weights is not None:
            _assign(self.module.variables, self.best_weights)
        if not cancelled:  # it may have ended before its last epoch, and a bar should be full
            report(1.0, **self._facts(self.epochs - 1))
        trained = self._trained(seconds)
        return Learned(
            trained,
            self.history.rows,
            seconds,
            self.resumed_after,
            self.resume,
            scales(
                nphotons=self.data.stack.nphotons,
                normalisation=self.data.stack.scale,
                intensity_scale=trained.intensity_scale,
            ),
            cancelled=cancelled,
            tell_end=(lambda: None) if cancelled else partial(report.finish, **self._facts(self.epochs - 1)),
        )

    def _tell(self, report: Report, epoch: int) -> None:
        """Tell how far the training is; raises Cancel where somebody who is told wants no more."""
        if not report(self.history.done(self.step), **self._facts(epoch)):
            raise Cancel

    def _facts(self, epoch: int) -> dict[str, Any]:
        return self.history.facts(self.step, epoch, self.job.config.nepochs)

    def _epoch(self, epoch: int, log: MetricsLogger | None, report: Report) -> dict[str, float]:
        """Learn from every batch of an epoch, as far as the time allows; its mean metrics."""
        means = _Means()
        for share, batch in self.data.epoch(epoch):
            rate = self._learning_rate()
            terms = self.optimiser.take(
                batch, self.data.canvas, rate, weight=share.weight, ends_step=share.ends_step
            )
            self._refuse_what_is_not_finite(terms["loss"])
            means.add(terms, share.groups)
            self.history.batch(terms)
            self.epochs = epoch + 1
            if share.ends_step:
                self.step += 1
                self.history.step(self.step, epoch, rate)
            # An epoch that is stopped here is not validated, judged or kept.
            self._tell(report, epoch)
            if not share.ends_step:
                continue
            if log is not None and self.step % _LOG_EVERY == 0:
                log(self.step, {f"train_{name}": v for name, v in terms.items()} | {"learning_rate": rate})
            if self.history.is_over:
                break
        return {self.module.train_loss_name: means.of("loss")} | self._validated()

    def _learning_rate(self) -> float:
        return self.rate * learning_rate_factor(
            self.job.execution.scheduler,
            self.step,
            self.history.done(self.step),
            self.job.execution.warmup_steps,
        )

    def _refuse_what_is_not_finite(self, loss: float) -> None:
        if not np.isfinite(loss):
            raise NotFiniteError(
                f"the loss became {loss} at step {self.step}: lower the learning rate (it is "
                f"{self.job.execution.learning_rate:g}) or clip gradients with gradient_clip_val"
            )

    def _validated(self) -> dict[str, float]:
        if not self.data.validates:
            return {}
        means = _Means()
        for share, batch in self.data.validation():
            means.add(self.optimiser.evaluate(batch, self.data.canvas), share.groups)
        self.history.validated(means.of("loss"))
        return {f"val_{name}": means.of(name) for name in means.names} | {
            self.module.val_loss_name: means.of("loss")
        }

    def _follow(self, epoch: int, metrics: dict[str, float], log: MetricsLogger | None) -> None:
        """What the end of an epoch changes, keeps and tells."""
        self.rate = self.course.rate(self.rate, metrics)
        if self.course.is_best(metrics) and self.course.keeps_best:
            self.best_weights = _values(self.module.variables)
        if log is not None:
            log(self.step, metrics)
        if self.best is not None:
            so_far = self._trained(self.history.seconds)
            self.best.take(
                epoch, metrics[self.best.metric], lambda path: save_model(path, so_far, native=False)
            )
        if self.resume is not None:
            self.resume.write(self._stopped(epoch))

    def _trained(self, seconds: float) -> TrainedModel:
        provenance = {
            "steps": self.step,
            "epochs": self.epochs,
            "training_seconds": round(seconds, 3),
            "training_processes": 1,
            **self.job.origin_facts(self.origin, self.data.stack.nphotons),
        }
        return TrainedModel(self.module, self.job.config, self.job.execution, provenance)

    def _stopped(self, epoch: int) -> Stopped:
        kinds = {
            "module": _values(self.module.variables),
            "optimiser": self.optimiser.state(),
            "best": self.best_weights or [],
        }
        arrays = {f"{kind}.{i}": value for kind, values in kinds.items() for i, value in enumerate(values)}
        state = {
            "step": self.step,
            "rate": self.rate,
            "history": self.history.state(),
            "course": self.course.state(),
            "best": self.best.state() if self.best is not None else [],
        }
        return Stopped(epoch, arrays, state)

    def _go_on_from(self, stopped: Stopped) -> None:
        def values(kind: str) -> list[NDArray[Any]]:
            return [stopped.arrays[f"{kind}.{i}"] for i in range(_count(stopped.arrays, kind))]

        _assign(self.module.variables, values("module"))
        self.optimiser.restore(values("optimiser"))
        self.best_weights = values("best") or None
        state: Mapping[str, Any] = stopped.state
        self.step, self.rate = state["step"], state["rate"]
        self.history.restore(state["history"])
        self.course.restore(state["course"])
        if self.best is not None:
            self.best.restore(state["best"])
        self.epochs = self.resumed_after = stopped.epoch + 1


class _Means:
    """Means of terms over groups."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._groups = 0

    def add(self, terms: Mapping[str, float], groups: int) -> None:
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + groups * value
        self._groups += groups

    @property
    def names(self) -> list[str]:
        return list(self._sums)

    def of(self, name: str) -> float:
        return self._sums[name] / self._groups


def _count(arrays: Mapping[str, Any], kind: str) -> int:
    return sum(name.startswith(f"{kind}.") for name in arrays)


def _values(variables: list[Any]) -> list[NDArray[Any]]:
    return [np.array(variable.value.numpy()) for variable in variables]


def _assign(variables: list[Any], values: list[NDArray[Any]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)

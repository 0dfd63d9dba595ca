"""What a program holds to train and to reconstruct: the lifecycle of the specification, section 4.1.

::

    reconstructor = Reconstructor("pytorch")
    reconstructor.configure(model={"gridsize": 2}, training={"nepochs": 5, "output_dir": folder})
    reconstructor.export_training_data(data_folder, scan)
    results = reconstructor.train(data_folder, on_progress=print)
    reconstructor.save(folder / "model.zip")
    found = Reconstructor("pytorch").open(folder / "model.zip").reconstruct(another_scan)

Nothing of it loads a framework but `Reconstructor.train` and `Reconstructor.reconstruct`; no historical name
(``ptycho``) is needed. A `Reconstructor`, what it returns and what it raises can be pickled, and unpickling
them loads no framework either.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from pinn_archive import find_archive, read_archive, read_manifest, write_archive
from pinn_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig
from pinn_config.configs import Framework
from pinn_data.progress.reports import Cancel, CancelledError, Progress, Watcher

from pinn_dispatch import dispatch
from pinn_dispatch.client.data import export_scan, scan_given, training_scans
from pinn_dispatch.client.file_filters import MODEL_FILES, TRAINING_DATA_FILES, FileFilter
from pinn_dispatch.client.run_control import CancelToken, RunControl
from pinn_dispatch.client.settings import UNCHANGED, Change, Settings
from pinn_dispatch.errors import BackendUnavailableError, DispatchError
from pinn_dispatch.registry import BACKENDS, installed_backends, row_of

if TYPE_CHECKING:
    from pinn_dispatch.backend import ReconstructionResult

__all__ = ["Cancel", "CancelledError", "Progress", "Reconstructor"]


class Reconstructor:
    """Trains, keeps one model, and reconstructs with it, in whatever thread or process it is called.

    backend : ``'tensorflow'`` or ``'pytorch'``; it trains, and opens the archives of both. None: the one that
        is installed; of both, the one that wrote the archive that is opened, or TensorFlow, the
        specification's default, where a training comes first. It stays the same from then on, since the two
        frameworks should not be loaded into one process.
    name : for people; default the backend's
    settings : as for `configure`

    Settings may change at any time and count from the next run on. One run is at work at a time.

    Raises UnknownBackendError, and what `configure` raises.
    """

    def __init__(self, backend: str | None = None, *, name: str | None = None, **settings: Any) -> None:
        if backend is not None:
            row_of(backend)
        self._backend = cast(Framework | None, backend)  # `row_of` knows it
        self._name = name
        self._settings = Settings()
        self._archive: Path | None = None
        self._control = RunControl()
        self.configure(**settings)

    def __repr__(self) -> str:
        return f"Reconstructor({self._backend!r}, name={self._name!r}, model_path={self._archive!r})"

    # What it is and what it is set to.

    @property
    def backend(self) -> str:
        """The backend of the next run. Raises BackendUnavailableError where none was named and none is
        installed."""
        return self._backend or self._installed()

    @property
    def name(self) -> str:
        """As it was named, or by its backend, where that is settled."""
        return self._name or "/".join(
            ["PtychoPINN", *([row_of(self._backend).title] if self._backend else [])]
        )

    def configure(
        self,
        *,
        model: ModelConfig | Change = UNCHANGED,
        training: TrainingConfig | Change = UNCHANGED,
        inference: InferenceConfig | Change = UNCHANGED,
        execution: PyTorchExecutionConfig | Change | None = UNCHANGED,
        seed: int | Literal["unchanged"] = UNCHANGED,
    ) -> None:
        """Set what the next runs go by.

        model, training, inference : a configuration, or a mapping that changes some of its fields. The
            network is `model`; where a `TrainingConfig` is given without it, that one's. ``N=0`` is the size
            of the patterns. What an archive is opened for is said by the archive.
        execution : the same for both backends; None: what the backend does where nothing is said
        seed : of everything that is drawn

        Raises ConfigError (a ValueError) with one sentence for each thing that is wrong; nothing is changed
        then.
        """
        self._settings = self._settings.changed(
            model=model, training=training, inference=inference, execution=execution, seed=seed
        )

    @property
    def model(self) -> ModelConfig:
        """A copy, as are the three that follow; assigning to one of them is `configure`."""
        return copy.deepcopy(self._settings.model)

    @model.setter
    def model(self, value: ModelConfig | Change) -> None:
        self.configure(model=value)

    @property
    def training(self) -> TrainingConfig:
        training = copy.deepcopy(self._settings.training)
        training.model = self.model
        return training

    @training.setter
    def training(self, value: TrainingConfig | Change) -> None:
        self.configure(training=value)

    @property
    def inference(self) -> InferenceConfig:
        return copy.deepcopy(self._settings.inference)

    @inference.setter
    def inference(self, value: InferenceConfig | Change) -> None:
        self.configure(inference=value)

    @property
    def execution(self) -> PyTorchExecutionConfig | None:
        return copy.deepcopy(self._settings.execution)

    @execution.setter
    def execution(self, value: PyTorchExecutionConfig | Change | None) -> None:
        self.configure(execution=value)

    @property
    def seed(self) -> int:
        return self._settings.seed

    # Files.

    open_file_filter: FileFilter = MODEL_FILES
    save_file_filter: FileFilter = MODEL_FILES
    training_data_file_filter: FileFilter = TRAINING_DATA_FILES

    @property
    def is_model_open(self) -> bool:
        """Whether there is something to reconstruct with: a model was opened, or trained."""
        return self._archive is not None

    @property
    def model_path(self) -> Path | None:
        """The archive, or the folder that it was unpacked to."""
        return self._archive

    def export_training_data(self, path: str | os.PathLike[str], data: Any) -> Path:
        """Write a scan in the schema of the specification, section 4.5; see
        :func:`pinn_dispatch.client.data.export_scan`."""
        return export_scan(path, data)

    def open(self, path: str | os.PathLike[str]) -> Reconstructor:
        """Take the model of an archive of either backend; returns this object.

        path : ``wts.h5.zip`` under whatever name, the folder that holds it, or a folder that it was unpacked
            to; it is read when it is needed, and stays where it is

        Raises ArchiveNotFoundError (a FileNotFoundError), ArchiveError (a ValueError: not of this format).
        """
        archive = find_archive(path)
        read_manifest(archive)
        self._archive = archive.absolute()
        return self

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model's archive, whole or not at all; the path of the file.

        path : a name that ends in ``.zip``, or a folder, in which it becomes ``wts.h5.zip``

        Raises DispatchError where there is no model, ArchiveError where its file was damaged since, OSError.
        """
        archive = read_archive(self._opened("saved"))
        return write_archive(
            path,
            models=archive.models,
            params=archive.params,
            arrays=archive.arrays,
            backend=archive.backend,
            provenance=archive.provenance,
        )

    # Runs.

    @property
    def is_running(self) -> bool:
        return self._control.is_running

    def cancel(self) -> bool:
        """Stop the run that is at work, from another thread, after its current batch; whether there was one.

        To stop one that may not have begun yet, give it a `threading.Event` as its `cancel`.
        """
        return self._control.cancel()

    def train(
        self,
        data: Any,
        validation: Any = None,
        *,
        output_dir: str | os.PathLike[str] | None = None,
        max_seconds: float | None = None,
        on_progress: Watcher | None = None,
        cancel: CancelToken | None = None,
    ) -> dict[str, Any]:
        """Learn a scan, and keep the model.

        data : a folder with ``train_data.npz`` and, to validate, ``test_data.npz``; or an NPZ file, a `Scan`,
            a `RawData`, or a mapping of arrays under the names of the NPZ schema
        validation : the same, but no folder; it goes before the folder's
        output_dir : for the archive, logs and checkpoints; None: ``training.output_dir``
        on_progress : is told after every batch, in this thread, how far it is (:class:`Progress`); it stops
            the training by returning or raising :class:`Cancel`
        cancel : the training stops after the batch in which it is set

        Returns
        -------
        dict
            The results of :mod:`pinn_data.run.workflow_results` without the models, which are in the archive
            ``bundle_path``; and ``cancelled``. Of a training that was cancelled the archive holds what was
            learned so far, and the same call goes on after its last finished epoch, where checkpoints are
            enabled.

        Raises
        ------
        CancelledError (a RuntimeError)
            Cancelled before its first step: nothing was written, and the model is the one from before.
        BusyError, BackendUnavailableError, BackendRunError (RuntimeErrors), ConfigError, DispatchError
        (ValueErrors), and what reading the data and the backend raise; never a framework's own class.
        """
        from pinn_data.run.workflow_results import training_results

        settings = self._settings
        with self._control.run("training", on_progress, cancel) as watcher:
            backend = self._settled()
            learned, validating = training_scans(data, validation)
            config = settings.for_training(learned, validating, backend, output_dir)
            result = dispatch.train(
                learned,
                config,
                copy.deepcopy(settings.execution),
                validation=validating,
                seed=settings.seed,
                max_seconds=max_seconds,
                progress=watcher,
            )
            self._archive = Path(result.archive).absolute()
        results = training_results(
            backend,
            self._archive,
            None,
            rows=result.history,
            epochs=max((row["epoch"] + 1 for row in result.history), default=0),
            validated=validating is not None,
            intensity_scale=result.scales["intensity_scale"],
            parameters=result.parameters,
            seconds=result.seconds,
            scales=result.scales,
            provenance=result.provenance,
        )
        return {**results, "cancelled": result.cancelled}

    def reconstruct(
        self, data: Any, *, on_progress: Watcher | None = None, cancel: CancelToken | None = None
    ) -> ReconstructionResult:
        """The object of a scan, by the model: ``object``, ``canvas``, ``positions``, ``probe``, ``residual``,
        ``provenance`` and the rest of :class:`pinn_data.run.results.Reconstruction`.

        data : an NPZ file, a `Scan`, a `RawData`, or a mapping of arrays under the names of the NPZ schema
        on_progress, cancel : as for `train`

        Law: the same to the bit as :func:`pinn_dispatch.dispatch.reconstruct`.

        Raises
        ------
        CancelledError (a RuntimeError)
            It was cancelled; there is no image.
        DispatchError (a ValueError)
            There is no model.
        And what `train` raises besides, ArchiveError (a ValueError), ArchiveNotFoundError (a
        FileNotFoundError: the archive has gone).
        """
        settings = self._settings
        with self._control.run("reconstruction", on_progress, cancel) as watcher:
            archive = self._opened("used")
            scan = scan_given(data, "the scan")
            backend = self._settled(read_manifest(archive).backend)
            return dispatch.reconstruct(
                archive,
                scan,
                settings.for_reconstruction(scan, archive, backend),
                copy.deepcopy(settings.execution),
                seed=settings.seed,
                backend=backend,
                progress=watcher,
            )

    def _opened(self, what: str) -> Path:
        if self._archive is None:
            raise DispatchError(f"there is no model to be {what}: open() or train() one first")
        return self._archive

    def _installed(self, wanted: str = "tensorflow") -> Framework:
        installed = installed_backends()
        if not installed:
            commands = " or ".join(row.install for row in BACKENDS.values())
            raise BackendUnavailableError(f"no backend is installed: run {commands}")
        return next((name for name in installed if name == wanted), installed[0])

    def _settled(self, wanted: str = "tensorflow") -> Framework:
        """The backend, from now on."""
        if self._backend is None:
            self._backend = self._installed(wanted)
        return self._backend

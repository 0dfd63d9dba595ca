"""What a program may set between two runs, as one value.

There is one network, one training, one reconstruction and one way to execute both. A change is checked as a
whole: all that is wrong with it is said at once, and nothing of it is taken over then.
"""

from __future__ import annotations

import copy
import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs
from pinn_config import ConfigError, InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig
from pinn_config.configs import Framework
from pinn_config.validation import problems_of, shown

from pinn_dispatch.errors import DispatchError

if TYPE_CHECKING:
    from pinn_data.scan.scan import Scan

__all__ = ["UNCHANGED", "Change", "Settings"]

UNCHANGED: Literal["unchanged"] = "unchanged"
Change = Any
"""A configuration of the right class, a mapping of field name to value, or `UNCHANGED`."""


@attrs.frozen
class Settings:
    """The configurations of a program's runs. They are copies: change them with `changed`.

    model : ``N=0`` is the size of whatever patterns come
    training, inference : their ``model``, ``backend`` and files are those of the run, whatever they say
    execution : None: what the backend does where nothing is said
    """

    model: ModelConfig = attrs.field(factory=lambda: ModelConfig(N=0))
    training: TrainingConfig = attrs.field(factory=lambda: TrainingConfig(ModelConfig(N=0)))
    inference: InferenceConfig = attrs.field(factory=lambda: InferenceConfig(ModelConfig(N=0)))
    execution: PyTorchExecutionConfig | None = None
    seed: int = 0

    def changed(
        self,
        *,
        model: Change = UNCHANGED,
        training: Change = UNCHANGED,
        inference: Change = UNCHANGED,
        execution: Change = UNCHANGED,
        seed: int | Literal["unchanged"] = UNCHANGED,
    ) -> Settings:
        """These settings with what is given. A mapping changes the fields that it names, a configuration
        takes the place of the old one; a `TrainingConfig` brings its network, where `model` is not given.

        Raises ConfigError with one sentence for each thing that is wrong.
        """
        problems: list[str] = []
        if isinstance(training, TrainingConfig) and _is_unchanged(model):
            model = training.model
        made: dict[str, Any] = {}
        for name, change, kind in (
            ("model", model, ModelConfig),
            ("training", training, TrainingConfig),
            ("inference", inference, InferenceConfig),
            ("execution", execution, PyTorchExecutionConfig),
        ):
            made[name], wrong = _changed(name, getattr(self, name), change, kind)
            problems += wrong
        network = dataclasses.replace(made["model"], N=made["model"].N or ModelConfig.N)
        for name in ("training", "inference"):
            problems += problems_of(dataclasses.replace(made[name], model=network))
        if made["execution"] is not None:
            problems += problems_of(made["execution"])
        number = self.seed
        if isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0:
            number = seed
        elif not _is_unchanged(seed):
            problems.append(f"seed must be a whole number >= 0, not {shown(seed)}")
        if problems:
            raise ConfigError(*dict.fromkeys(problems))  # the network is looked at in both
        return Settings(**made, seed=number)

    def for_training(
        self,
        scan: Scan,
        validation: Scan | None,
        backend: Framework,
        folder: str | os.PathLike[str] | None,
    ) -> TrainingConfig:
        """The training of `scan` into `folder`; None: ``training.output_dir``.

        Raises DispatchError where no folder is named.
        """
        folder = Path(self.training.output_dir if folder is None else folder)
        if folder == Path():
            raise DispatchError("no folder for the training was given: set output_dir, or configure it")
        return dataclasses.replace(
            self.training,
            model=dataclasses.replace(self.model, N=self.model.N or scan.N),
            train_data_file=scan.source,
            test_data_file=None if validation is None else validation.source,
            output_dir=folder,
            backend=backend,
        )

    def for_reconstruction(self, scan: Scan, archive: Path, backend: Framework) -> InferenceConfig:
        """The reconstruction of `scan` with an archive, which says what the network is."""
        return dataclasses.replace(
            self.inference,
            model=ModelConfig(N=scan.N),
            model_path=archive,
            test_data_file=scan.source,
            backend=backend,
        )


def _is_unchanged(change: Any) -> bool:
    return isinstance(change, str) and change == UNCHANGED


def _changed(name: str, before: Any, change: Change, kind: type) -> tuple[Any, list[str]]:
    """The configuration after a change, and what in it is none of its settings."""
    if _is_unchanged(change):
        return before, []
    if isinstance(change, kind) or (change is None and name == "execution"):
        return copy.deepcopy(change), []
    if not isinstance(change, Mapping):
        wrong = (
            f"{name} is a {type(change).__name__}, but a {kind.__name__} or a mapping of its fields is needed"
        )
        return before, [wrong]
    known = {item.name for item in dataclasses.fields(kind)} - {"model"}
    unknown = [
        f"{name} has no setting {field!r}: "
        + ("give it as model=..." if field == "model" else f"choose one of {', '.join(sorted(known))}")
        for field in change
        if field not in known
    ]
    fields = {field: copy.deepcopy(value) for field, value in change.items() if field in known}
    try:
        made = dataclasses.replace(before, **fields) if before is not None else kind(**fields)
    except ConfigError as error:  # execution settings check themselves
        return before, [*unknown, *error.problems]
    return made, unknown

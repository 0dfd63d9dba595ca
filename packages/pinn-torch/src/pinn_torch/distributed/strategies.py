"""How many processes a run takes on each machine, and what Lightning is told of them."""

from __future__ import annotations

from inspect import signature
from typing import Any

import torch
from lightning.fabric.plugins import ClusterEnvironment
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.strategies import DDPStrategy, Strategy
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.command.processes import launched_process

from pinn_torch.distributed.ranks import Team, backend_for
from pinn_torch.errors import RunError

__all__ = ["STRATEGIES", "Meeting", "precision_options", "processes_for", "strategy_for"]

_FIRST_LOSS_SCALE = 2.0**8
_UNUSED = "_find_unused_parameters_true"
STRATEGIES = (
    "auto",
    *(
        f"{name}{suffix}"
        for name in ("ddp", "ddp_spawn", "ddp_notebook")
        for suffix in ("", "_find_unused_parameters_false", _UNUSED)
    ),
)
"""Names of Lightning's strategies that are understood. All of them spread a run alike, over processes that
`pinn_torch.distributed.spawn` starts; with one device none of them starts any."""


def processes_for(execution: PyTorchExecutionConfig, device: torch.device) -> int:
    """Processes on this machine, one for each device: `execution.devices`, or for 'auto' all GPUs.

    Raises
    ------
    RunError
        An unknown strategy, more processes than GPUs, or another number than torchrun or srun started.
    """
    if execution.strategy not in STRATEGIES:
        raise RunError(
            f"strategy={execution.strategy!r} was given, but only 'ddp' is supported for several devices: "
            "choose auto or ddp"
        )
    wanted, launched = execution.devices, launched_process()
    if launched is not None:
        if wanted not in ("auto", launched.local_size):
            raise RunError(
                f"{launched.launcher} started {launched.local_size} processes on this machine, but "
                f"devices={wanted}: give devices={launched.local_size} or auto"
            )
        wanted = launched.local_size
    there = {"cuda": torch.cuda.device_count, "mps": lambda: 1}.get(device.type)
    if wanted == "auto":
        return there() if there is not None else 1
    if there is not None and wanted > there():
        raise RunError(
            f"devices={wanted} was requested, but this process sees {there()} {device.type.upper()} "
            f"device(s): give at most {there()}, or auto"
            + ("; srun must hide none of them (no --gpus-per-task, no --gpu-bind)" if launched else "")
        )
    return wanted


def strategy_for(team: Team, name: str, device: torch.device) -> Strategy | str:
    """Lightning's strategy: DistributedDataParallel over a team, else a single device."""
    if team.size == 1:
        return "auto"
    return _Joined(process_group_backend=backend_for(device), find_unused_parameters=name.endswith(_UNUSED))


def precision_options(precision: str, device: torch.device) -> dict[str, Any]:
    """Arguments of a Trainer for a precision that `pinn_torch.runtime.devices.resolved_precision` gave.

    On a CPU Lightning would put bfloat16 in float16's place. And it scales the loss by 65536 to begin with,
    where gradients of this network overflow float16 and the first steps are lost.
    """
    if precision != "16-mixed" or device.type == "mps":
        return {"precision": precision}
    # PyTorch 2.2 has the scaler of CUDA only, and no float16 on a CPU.
    made = getattr(torch.amp, "GradScaler", None) or torch.cuda.amp.GradScaler
    about: dict[str, Any] = {"device": device.type} if "device" in signature(made).parameters else {}
    scaler = made(init_scale=_FIRST_LOSS_SCALE, **about)
    return {"plugins": [MixedPrecision("16-mixed", device.type, scaler)]}


class _Joined(DDPStrategy):
    """DDP among processes that run already and have met already."""

    def _configure_launcher(self) -> None:
        self._launcher = None


class Meeting(ClusterEnvironment):
    """Tells Lightning the place of this process, whatever the environment says.

    Without it Lightning would take every process of a SLURM job with several tasks for one of them.
    """

    def __init__(self, team: Team) -> None:
        super().__init__()
        self.team = team

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        raise RuntimeError("the processes have met already")

    @property
    def main_port(self) -> int:
        raise RuntimeError("the processes have met already")

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self.team.size

    def set_world_size(self, size: int) -> None:
        """Known already."""

    def global_rank(self) -> int:
        return self.team.rank

    def set_global_rank(self, rank: int) -> None:
        """Known already."""

    def local_rank(self) -> int:
        return self.team.local_rank

    def node_rank(self) -> int:
        return self.team.rank // self.team.local_size

    def teardown(self) -> Any:
        """The team outlasts a training."""

"""How the batches of an epoch are spread over the processes of a team, and what each share weighs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
from pinn_data.grouping.group_rows import shuffled
from torch.utils.data import Sampler

from pinn_torch.distributed.ranks import Team

__all__ = ["Share", "SharedBatches", "shares"]


@attrs.frozen
class Share:
    """What the process has of one batch, which is spread over all of them.

    groups : of the whole batch
    fraction : of them that are here; 0 where there are fewer groups than processes, and then the process
        computes one of the others' to no effect, because it must take part
    weight : of the mean over the groups that are here in the sum that Lightning makes of a step's gradients
    """

    groups: int
    fraction: float
    weight: float


def shares(length: int, batch_size: int, accum_steps: int, team: Team) -> list[Share]:
    """The share of every batch of an epoch of `length` groups.

    Lightning takes the mean of the gradients over the processes and then over `accum_steps` batches. With
    these weights that is the mean over all groups between two steps of the optimiser, also where batches are
    left over:

    ``weight = accum_steps * processes * (groups here) / (groups of the step)``

    It is 1 for one process and ``accum_steps = 1``.
    """
    found = []
    step = batch_size * accum_steps
    for start in range(0, length, batch_size):
        groups = min(batch_size, length - start)
        here = len(range(groups)[team.part(groups)])
        first = start - start % step
        in_step = min(step, length - first)
        found.append(Share(groups, here / groups, accum_steps * team.size * here / in_step))
    return found


class SharedBatches(Sampler):
    """This process' groups of every batch, in an order that all processes have.

    order : seed of a random order, the same however often it is asked for (Lightning starts a resumed epoch
        twice); None for the order of the numbers
    """

    def __init__(self, length: int, batch_size: int, team: Team, order: int | None) -> None:
        self.length, self.batch_size, self.team, self.order = length, batch_size, team, order

    def __len__(self) -> int:
        return -(-self.length // self.batch_size)

    def __iter__(self) -> Iterator[Sequence[int]]:
        numbers: Sequence[int] = range(self.length)
        if self.order is not None:
            numbers = shuffled(self.length, self.order)
        for start in range(0, self.length, self.batch_size):
            batch = numbers[start : start + self.batch_size]
            yield batch[self.team.part(len(batch))] or batch[:1]

"""Results in order, some of them made ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["prefetched"]

T = TypeVar("T")
R = TypeVar("R")


def prefetched(function: Callable[[T], R], items: Iterable[T], workers: int, ahead: int = 1) -> Iterator[R]:
    """``map(function, items)``, where so many threads work ahead of who takes the results, by so many items
    each.

    Gathering a batch is copying in memory or reading a file, for which Python lets other threads run.
    """
    if workers == 0:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        made: deque[Future[R]] = deque()
        try:
            for item in items:
                made.append(pool.submit(function, item))
                if len(made) > workers * ahead:
                    yield made.popleft().result()
            while made:
                yield made.popleft().result()
        finally:
            for future in made:  # of no use to anybody where the caller stopped
                future.cancel()

"""A bar on the terminal for whoever watches a run there: what is done, misfit and time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pinn_data.progress.reports import Progress, Watcher

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(enabled: bool) -> Iterator[Watcher | None]:
    """A watcher that shows what it is told as a bar on standard error; None when it is not enabled."""
    if not enabled:
        yield None
        return
    import rich.progress as bars
    from rich.console import Console

    with bars.Progress(
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TextColumn("{task.percentage:3.0f}%"),
        bars.TextColumn("{task.fields[note]}"),
        bars.TimeElapsedColumn(),
        bars.TextColumn("left"),
        bars.TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as bar:
        task: bars.TaskID | None = None

        def show(progress: Progress) -> None:
            nonlocal task
            if task is None:
                task = bar.add_task(progress.stage, total=1.0, note="")
            note = "" if progress.epoch is None else f"epoch {progress.epoch + 1}/{progress.epochs}"
            if progress.misfit is not None:
                note += f"  misfit {progress.misfit:.4f}"
            bar.update(task, completed=progress.fraction, note=note)

        yield show

"""Lines tell the beginning and the end at once, and what lies between every few seconds."""

from __future__ import annotations

from pinn_data.progress import lines as module
from pinn_data.progress.reports import Progress


def test_the_first_the_last_and_one_every_few_seconds(monkeypatch):
    clock = iter([0.0, 1.0, 2.5, 3.5, 4.0, 4.1])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    lines = []
    watch = module.progress_lines(lines.append, seconds=3.0)
    records = [Progress("reconstruction", k / 6, k, misfit=0.1 * k) for k in range(5)]
    records.append(Progress("reconstruction", 1.0, 5.0, misfit=0.05, finished=True))
    for record in records:
        watch(record)
    assert lines == [str(records[k]) for k in (0, 3, 5)]
    assert lines[1:] == [
        "reconstruction: 50 %, misfit 0.3000",
        "reconstruction: 100 %, misfit 0.0500, finished in 5 s",
    ]

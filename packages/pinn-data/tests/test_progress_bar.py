"""A bar shows on standard error what a run tells."""

from __future__ import annotations

from pinn_data.progress.bar import progress_bar
from pinn_data.progress.reports import Report


def test_a_bar_shows_where_the_training_is_and_nothing_where_none_is_wanted(capfd):
    for enabled in (False, True):
        with progress_bar(enabled) as bar:
            report = Report("training", bar)
            report(0.5, epoch=0, epochs=3, misfit=0.25)
            report.finish(epoch=0, epochs=3, misfit=0.25)
        said = capfd.readouterr()
        assert said.out == "" and ("100%" in said.err and "epoch 1/3  misfit 0.2500" in said.err) == enabled
        assert enabled or said.err == ""

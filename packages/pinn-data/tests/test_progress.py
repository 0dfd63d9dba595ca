"""Laws of progress: fractions rise, the end is told once, and whoever is told can stop the run."""

import os
import pickle
import signal
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.command.stop_requests import stop_requests_heeded
from pinn_data.progress.reports import Cancel, CancelledError, Progress, Report


@given(st.lists(st.floats(0, 1.5), max_size=8))
def test_fractions_never_fall_and_end_at_one(shares):
    seen = []
    report = Report("training", seen.append)
    for share in shares:
        assert report(share, epoch=0, epochs=1)
    report.finish(epoch=0, epochs=1)
    fractions = [record.fraction for record in seen]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    assert [record.finished for record in seen] == [False] * len(shares) + [True]
    assert all(record.stage == "training" and record.seconds >= 0 for record in seen)
    assert all(a.seconds <= b.seconds for a, b in pairwise(seen))


def test_the_time_left_is_that_of_the_pace_so_far(monkeypatch):
    clock = iter([0.0, 10.0, 20.0, 30.0])
    monkeypatch.setattr("pinn_data.progress.reports.time.perf_counter", lambda: next(clock))
    seen = []
    report = Report("training", seen.append)
    for share in (0.5, 0.75, 1.0):  # it was resumed in the middle
        report(share)
    assert [record.seconds_left for record in seen] == [None, 20.0 * 0.25 / 0.25, 0.0]


def _raising(record):
    raise Cancel


@pytest.mark.parametrize("stops", [_raising, lambda record: Cancel, lambda record: Cancel("enough")])
def test_a_watcher_stops_the_run_and_all_are_told(stops):
    seen = []
    assert not Report("reconstruction", stops, None, seen.append)(0.5)
    assert len(seen) == 1


@pytest.mark.parametrize("answer", [None, False, True, 0, "Cancel"])
def test_no_other_answer_stops_it(answer):
    assert Report("training", lambda record: answer)(0.5)


def test_any_other_exception_is_the_callers():
    def broken(record):
        raise ZeroDivisionError("of the watcher")

    with pytest.raises(ZeroDivisionError, match="of the watcher"):
        Report("training", broken)(0.5)


def test_nobody_need_watch():
    assert Report("training")(0.1) and Report("training", None)(0.1)


def test_records_and_errors_are_pickled():
    record = Progress("training", 0.5, 1.0, 1.0, epoch=0, epochs=2, step=3, loss=0.1)
    assert pickle.loads(pickle.dumps(record)) == record  # noqa: S301 - our own
    error = pickle.loads(pickle.dumps(CancelledError("nothing was learned")))  # noqa: S301
    assert type(error) is CancelledError and str(error) == "nothing was learned"


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
@pytest.mark.parametrize("request_to_stop", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_that_a_library_lost_ends_the_run_after_the_batch(request_to_stop):
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT,)}
    try:
        with stop_requests_heeded():
            report = Report("training")
            assert report(0.1)
            with suppress(KeyboardInterrupt):  # what C++ does with it
                os.kill(os.getpid(), request_to_stop)
            with pytest.raises(KeyboardInterrupt):
                report(0.2)
            report.finish()  # too late
        assert report(0.3)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""SIGINT and SIGTERM are KeyboardInterrupts within a block, told apart by their exit codes."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from pinn_data.command.stop_requests import heed_lost_request, stop_requests_heeded, stop_requests_noted

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")


@pytest.fixture(autouse=True)
def handlers():
    """Those of a program that was started from a terminal, put back afterwards."""
    ours = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in ours.items()}
    yield ours
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_request_interrupts_and_has_its_code(number, code, handlers):
    with stop_requests_heeded() as request:
        assert not request.came
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        assert request.came and request.exit_code == code
        request.ignore_more()
        os.kill(os.getpid(), number)
    assert {number: signal.getsignal(number) for number in handlers} == handlers


def test_a_library_s_own_interrupt_is_130():
    with stop_requests_heeded() as request:
        pass
    assert (request.came, request.exit_code) == (False, 130)


def test_who_handles_or_ignores_a_signal_keeps_doing_so():
    seen = []
    signal.signal(signal.SIGTERM, lambda *_: seen.append("term"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stop_requests_heeded() as request:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        request.ignore_more()
        os.kill(os.getpid(), signal.SIGTERM)
    assert seen == ["term", "term"] and not request.came


def test_another_thread_changes_nothing(handlers):
    def block():
        with stop_requests_heeded() as request:
            request.ignore_more()
            found.update({number: signal.getsignal(number) for number in handlers})

    found = {}
    thread = threading.Thread(target=block)
    thread.start()
    thread.join()
    assert found == handlers


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_within_a_patient_block_the_first_request_is_noted_and_the_second_interrupts(number, code):
    with stop_requests_heeded() as request, stop_requests_noted() as noted:
        os.kill(os.getpid(), number)
        heed_lost_request()
        assert noted is request and noted.came and noted.exit_code == code
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


def test_after_the_patient_block_every_request_interrupts_again():
    with stop_requests_heeded() as request:
        with stop_requests_noted():
            os.kill(os.getpid(), signal.SIGINT)
        assert request.came
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            heed_lost_request()

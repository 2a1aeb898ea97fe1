"""Signals that ask a run to stop."""

import gc
import os
import signal
import subprocess
import sys
import threading

import pytest

from mnist3 import exit_status, stopping

REMEDY = "run the same command to go on"
NUMBERS = pytest.mark.parametrize("number", stopping.SIGNALS)


def handlers():
    return [signal.getsignal(each) for each in stopping.SIGNALS]


@NUMBERS
def test_a_signal_ends_a_command_with_a_sentence_and_its_status(capsys, number):
    def command():
        with stopping.handled(REMEDY):
            signal.raise_signal(number)
        pytest.fail("the signal ends the block")

    before, threads = handlers(), threading.active_count()
    assert exit_status.run(command) == 128 + number
    assert capsys.readouterr().err == "\nStopped; run the same command to go on.\n"
    assert handlers() == before
    assert threading.active_count() == threads


@NUMBERS
def test_a_signal_waits_for_what_defers_it(number):
    done = []
    with pytest.raises(stopping.Interrupted) as raised, stopping.handled(REMEDY):
        with stopping.deferred() as stops:
            assert not stops()
            signal.raise_signal(number)
            assert stops()
            signal.raise_signal(number)  # its echo
            done.append(1)
        pytest.fail("the signal ends the block")
    assert (done, raised.value.status) == ([1], 128 + number)
    with stopping.handled(REMEDY), stopping.deferred() as stops:
        assert not stops()


def test_an_error_of_what_defers_a_signal_is_that_error():
    with pytest.raises(ZeroDivisionError), stopping.handled(REMEDY), stopping.deferred():
        signal.raise_signal(signal.SIGTERM)
        raise ZeroDivisionError


def test_a_signal_that_was_lost_in_a_callback_stops_at_the_next_chance():
    with pytest.raises(stopping.Interrupted), stopping.handled(REMEDY):
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        with stopping.deferred():
            pytest.fail("the signal ends the block")


def test_a_signal_while_garbage_is_collected_stops_at_the_next_chance(capsys):
    def ask_to_stop(phase, found):
        gc.callbacks.remove(ask_to_stop)
        signal.raise_signal(signal.SIGTERM)

    before = sys.unraisablehook
    with pytest.raises(stopping.Interrupted), stopping.handled(REMEDY):
        gc.callbacks.append(ask_to_stop)
        gc.collect()
        with stopping.deferred():
            pytest.fail("the signal ends the block")
    assert capsys.readouterr().err == ""
    assert sys.unraisablehook is before


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopping.handled(REMEDY):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_change_no_handler():
    found = []

    def block():
        with stopping.handled(REMEDY), stopping.deferred() as stops:
            found.extend([stops(), *handlers()])

    thread = threading.Thread(target=block)
    thread.start()
    thread.join()
    assert found == [False, *handlers()]


BUSY = """
import hashlib, sys
from mnist3 import exit_status, stopping

def command():
    with stopping.handled("go on"), stopping.deferred():
        print("busy", file=sys.stderr, flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # minutes in which no handler is called

sys.exit(exit_status.run(command))
"""


@NUMBERS
def test_a_second_signal_ends_the_process_in_the_middle_of_anything(number):
    process = subprocess.Popen([sys.executable, "-c", BUSY], stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline() == "busy\n"
    os.kill(process.pid, number)
    assert "a second signal stops at once" in process.stderr.readline()
    while process.poll() is None:  # the first ones may still be an echo
        os.kill(process.pid, number)
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    process.stderr.close()
    assert process.returncode == 128 + number

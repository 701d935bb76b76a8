"""tasks_app/engine/pulse.py: the parent measures a worker's silence only while the parent itself is running."""

import os
import signal
import threading

import pytest

from longtasks.local_stack import child_process
from tasks_app.engine import pulse
from tasks_app.engine.exit_reports import describe_exit
from tasks_app.engine.pulse import Pulse, PulseReader


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pulse, "time", clock)
    return clock


def silence_after(clock: Clock, reader: PulseReader, seconds: float) -> float:
    clock.now += seconds
    return reader.measure_silence()


def test_silence_is_measured_from_the_last_beat(clock: Clock) -> None:
    reader = PulseReader()
    assert silence_after(clock, reader, 0.9) == 0, "the worker is still starting"
    os.write(reader.worker_end, pulse.BEAT)
    assert silence_after(clock, reader, 0.9) == 0
    assert silence_after(clock, reader, 0.9) == pytest.approx(0.9)
    assert silence_after(clock, reader, 0.9) == pytest.approx(1.8)
    os.write(reader.worker_end, pulse.BEAT * 3)
    assert silence_after(clock, reader, 0.9) == 0
    reader.close_worker_end()
    reader.close()


def test_a_suspended_parent_counts_one_second_of_its_sleep(clock: Clock) -> None:
    reader = PulseReader()
    os.write(reader.worker_end, pulse.BEAT)
    reader.measure_silence()
    assert silence_after(clock, reader, 3600) == pulse.LONGEST_STEP_SECONDS
    reader.close_worker_end()
    reader.close()


def test_a_process_that_said_farewell_is_not_silent(clock: Clock) -> None:
    reader = PulseReader()
    os.write(reader.worker_end, pulse.BEAT + pulse.FAREWELL)
    reader.measure_silence()
    assert reader.has_said_farewell
    assert silence_after(clock, reader, 0.9) == 0
    reader.close_worker_end()
    reader.close()


def test_a_worker_beats_and_says_farewell_and_hides_the_pipe_from_its_children(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = PulseReader()
    monkeypatch.setenv(pulse.VARIABLE, str(reader.worker_end))
    beating = Pulse()
    beating.start()
    assert pulse.VARIABLE not in os.environ
    assert not os.get_inheritable(reader.worker_end)
    beating.stop()
    [thread] = [thread for thread in threading.enumerate() if thread.name == "pulse"] or [None]
    if thread is not None:
        thread.join(10)
    reader.measure_silence()
    assert reader.has_said_farewell
    reader.close_worker_end()
    reader.close()


def test_a_reused_file_descriptor_gets_no_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = PulseReader()
    monkeypatch.setenv(pulse.VARIABLE, str(reader.worker_end))
    beating = Pulse()
    beating.start()
    assert child_process.wait_until(lambda: reader.measure_silence() == 0 and reader._has_begun, deadline_seconds=10)
    assert not beating.is_broken
    other_read, other_write = os.pipe()
    os.dup2(other_write, reader.worker_end)
    beating.stop()
    assert beating.is_broken, "the worker must retire before its parent considers it hung"
    os.close(other_write)
    reader.close_worker_end()
    assert os.read(other_read, 10) == b""
    os.close(other_read)
    reader.close()


def test_without_a_parent_there_is_no_pulse() -> None:
    beating = Pulse()
    beating.start()
    beating.stop()
    assert "pulse" not in {thread.name for thread in threading.enumerate()}


def test_the_end_of_a_process_is_described() -> None:
    assert describe_exit(3) == "ended with exit code 3 in the middle of its work"
    assert describe_exit(-signal.SIGSEGV) == "killed by SIGSEGV"
    assert describe_exit(-signal.SIGKILL).startswith("killed by SIGKILL")
    assert describe_exit(-120) == "killed by signal 120"

"""How many connections each process of web has: read and written by several processes."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from longtasks.server.connection_counts import PROCESSES, ConnectionCounts


@contextmanager
def process_with(counts: ConnectionCounts, *, number: int, connections: int) -> Iterator[int]:
    """Another process that has noted its connections, and that is killed and reaped at the end."""
    ready, told = os.pipe()
    pid = os.fork()
    if not pid:
        counts.begin(number)
        counts.note(connections)
        os.write(told, b".")
        while True:
            signal.pause()
    os.read(ready, 1)
    try:
        yield pid
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def test_a_process_leads_by_what_it_has_more_than_the_least() -> None:
    counts = ConnectionCounts()
    assert counts.find_lead(9) == 0  # it accepts nothing yet
    counts.begin(1)
    assert counts.find_lead(9) == 0  # it is alone
    with process_with(counts, number=2, connections=5), process_with(counts, number=3, connections=7):
        assert (counts.find_lead(9), counts.find_lead(6), counts.find_lead(5), counts.find_lead(1)) == (4, 1, 0, 0)
        counts.end()
        assert counts.find_lead(9) == 0


def test_a_killed_process_counts_no_more() -> None:
    counts = ConnectionCounts()
    counts.begin(1)
    with process_with(counts, number=2, connections=0):
        assert counts.find_lead(3) == 3
    assert counts.find_lead(3) == 0


def test_a_successor_takes_the_slot_of_an_earlier_process() -> None:
    counts = ConnectionCounts()
    counts.begin(1)
    with process_with(counts, number=2, connections=0), process_with(counts, number=2 + PROCESSES, connections=8):
        assert counts.find_lead(10) == 2

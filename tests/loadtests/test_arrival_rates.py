"""The figures of loads at a fixed rate: h2load's log and totals, Redis hung, reloads."""

import pytest

from loadtests.bench import redis_hung, reload
from loadtests.bench.errors import BenchError
from loadtests.bench.h2load import parse_totals, read_log, stagger_options, summarize
from loadtests.bench.open_load import REFUSED, RESET, Outcome

TOTALS = """
requests: 1000 total, 1000 started, 998 done, 997 succeeded, 3 failed, 2 errored, 0 timeout
status codes: 997 2xx, 0 3xx, 0 4xx, 1 5xx
"""


def test_h2loads_totals_are_read() -> None:
    assert parse_totals(TOTALS) == (1000, 3)
    with pytest.raises(BenchError, match="no totals"):
        parse_totals("connection refused")


def test_a_request_s_time_counts_from_the_moment_when_it_was_due() -> None:
    # At 10/s the third was due at 0.2 s and sent at 0.5 s.
    log = read_log("1000000\t201\t5000\n1100000\t201\t5000\n1500000\t201\t5000\n")
    found = summarize(log, rate=10)
    assert (found["late"], found["median_ms"]) == (1, 5)
    assert found["max_ms"] == pytest.approx(305)
    assert found["rate"] == pytest.approx(4)


def test_an_answer_after_a_second_is_late() -> None:
    assert summarize(read_log("1000000\t201\t1000001\n"), rate=10)["late"] == 1
    assert summarize(read_log("1000000\t201\t1000000\n"), rate=10)["late"] == 0


def test_connections_begin_one_after_the_other() -> None:
    assert stagger_options(2000) == ["--rate=2", "--rate-period=1ms"]
    assert stagger_options(50) == ["--rate=1", "--rate-period=20ms"]


def test_posts_whose_time_limit_ended_while_redis_hung_must_be_refused() -> None:
    timeout = redis_hung.TIMEOUT_SECONDS
    refused = Outcome(due_at=1.0, seconds=timeout, status=503)
    rescued = Outcome(due_at=9.9, seconds=0.3, status=201)
    probe = Outcome(due_at=2.0, seconds=0.003, status=200)
    found = redis_hung.summarize([refused, rescued], [probe], hung_at=0.0, resumed_at=10.0)
    assert (found["share_503"], found["unanswered"], found["refused_after"]) == (1.0, 0, 0)
    assert found["first_201_ms"] == pytest.approx(200)
    assert found["post_max_ms"] == pytest.approx(timeout * 1000)
    lost = Outcome(due_at=1.0, seconds=1.0, status=0, failure=RESET)
    found = redis_hung.summarize([refused, lost, rescued], [probe], hung_at=0.0, resumed_at=10.0)
    assert (found["share_503"], found["unanswered"]) == (0.5, 1)
    with pytest.raises(BenchError):
        redis_hung.summarize([], [], hung_at=0.0, resumed_at=10.0)


def test_each_kind_of_failure_in_a_reload_is_counted() -> None:
    outcomes = [
        Outcome(due_at=0.0, seconds=0.1, status=201),
        Outcome(due_at=0.0, seconds=0.1, status=503),
        Outcome(due_at=0.0, seconds=0.1, status=0, failure=REFUSED),
    ]
    found = reload.summarize(outcomes)
    assert (found["requests"], found["refused"], found["reset"], found["silent"], found["not_2xx"]) == (3, 1, 0, 0, 1)

"""The short version of `make chaos`: some faults of each kind on a stack of its own under load, judged by the oracle."""

from collections.abc import Generator

import pytest

from loadtests.started.servers import IS_EMBEDDED
from tests.chaos.faults import FAULTS
from tests.chaos.harness import Chaos
from tests.chaos.report import percentile

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.skipif(IS_EMBEDDED, reason="kills MariaDB and Redis; `make test` runs it"),
]
BY_NAME = {fault.name: fault for fault in FAULTS}


@pytest.fixture(scope="module")
def chaos() -> Generator[Chaos, None, None]:
    chaos = Chaos()
    with chaos.running():
        chaos.clients.start()
        yield chaos


def assert_all_is_well(chaos: Chaos) -> None:
    verdict = chaos.report.verdict
    assert (verdict.lost, verdict.duplicated, verdict.disagreeing, verdict.leftovers) == ([], [], [], [])
    assert chaos.report.not_recovered == 0
    assert chaos.report.accepted > 10


@pytest.mark.parametrize(
    "names",
    [
        ("kill -9 of a worker", "kill -9 of the workers' parent", "kill -9 of parent and workers"),
        ("kill -9 of web", "kill -9 of the mirror", "SIGSTOP of a worker"),
        ("kill -9 of Redis", "kill -9 of MariaDB", "SIGSTOP of Redis", "SIGSTOP of MariaDB"),
        ("FLUSHALL",),
        ("crash before a chunk's COMMIT", "crash before the job's finish"),
        ("crash in the middle of a rescue",),
    ],
    ids=lambda names: names[0],
)
def test_no_task_is_lost_or_run_twice(chaos: Chaos, names: tuple[str, ...]) -> None:
    for name in names:
        chaos.clients.go_on()
        chaos.warm_up()
        chaos.inject(BY_NAME[name])
    chaos.settle(", ".join(names))
    assert_all_is_well(chaos)


def test_the_task_of_a_killed_worker_continues_within_seconds(chaos: Chaos) -> None:
    chaos.clients.go_on()
    for _ in range(2):
        chaos.warm_up()
        chaos.inject(BY_NAME["kill -9 of a worker"])
    chaos.settle("kills")
    assert_all_is_well(chaos)
    assert chaos.report.recovery_seconds
    assert percentile(chaos.report.recovery_seconds, 99) <= 10 + 5, "the limit, and the delay of a busy machine"


def test_a_high_task_starts_while_every_worker_runs_an_endless_task(chaos: Chaos) -> None:
    chaos.preemption(tries=10)
    assert_all_is_well(chaos)
    assert percentile(chaos.report.preemption_seconds, 90) <= 1.0


def test_workers_end_soon_after_sigterm(chaos: Chaos) -> None:
    chaos.sigterm(tries=2)
    assert_all_is_well(chaos)
    assert max(chaos.report.sigterm_seconds) <= 2.5

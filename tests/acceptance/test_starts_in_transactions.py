"""Tasks that transactions start while processes and Redis are killed: exactly the committed ones run, once.

`python -m tests.chaos.outbox` does the same with a thousand tasks and more faults.
"""

import pytest

from tests.chaos.outbox import ENVIRONMENT, Run
from tests.conftest import MakeStack

pytestmark = pytest.mark.slow


def test_exactly_the_committed_tasks_run(make_stack: MakeStack) -> None:
    run = Run(make_stack(workers=2, environment=ENVIRONMENT), tasks=90)
    run.run(every_seconds=1.0, fault_names=["kill -9 of Redis", "kill -9 of the mirror", "FLUSHALL"])
    assert run.find_faults() == []
    print(run.counts)
    assert run.counts["starts of a starting process"] > run.processes
    assert run.counts["kill -9 of Redis"] >= 1

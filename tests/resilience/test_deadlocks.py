"""tasks_app/resilience/deadlocks.py: a chunk stays atomic through deadlocks that its task type catches."""

import os

import pytest

from loadtests.started.servers import IS_EMBEDDED
from tests.conftest import MakeStack
from tests.hostile.deadlocks import AT_ONCE, list_rows, provoke
from tests.hostile.world import ENVIRONMENT, make_tables

NUMBER = int(os.environ.get("DEADLOCKS", "30"))


@pytest.mark.skipif(IS_EMBEDDED, reason="SQLite has one lock and no deadlocks")
@pytest.mark.slow
def test_rows_equal_the_counts_after_deadlocks(make_stack: MakeStack) -> None:
    stack = make_stack(workers=AT_ONCE, environment=ENVIRONMENT)
    make_tables(stack, rows=list_rows())
    outcome = provoke(stack, number=NUMBER)
    assert outcome.wrong == []
    assert len(outcome.tasks) == NUMBER
    assert outcome.provoked >= NUMBER * 0.9
    assert outcome.deadlocks >= outcome.provoked

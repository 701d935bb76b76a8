"""Function tasks whose workers are killed: each leaves one row and one result.

`python -m tests.chaos.function_tasks` does the same with 1,000.
"""

from tests.chaos import function_tasks
from tests.conftest import MakeStack


def test_each_function_leaves_one_row_under_kills(make_stack: MakeStack) -> None:
    stack = make_stack(workers=2, environment=function_tasks.ENVIRONMENT)
    faults = function_tasks.run(stack, tasks=24, pause_ms=400, every_seconds=2.0, deadline_seconds=90)
    assert faults == []

"""The three-step change of a NOT NULL column on real processes whose workers are killed, as `python -m tests.chaos.gates`."""

import pytest

from tests.acceptance.test_collections_under_kills import ENVIRONMENT
from tests.chaos import gates
from tests.conftest import MakeStack

pytestmark = pytest.mark.slow


def test_the_gate_opens_when_each_row_was_filled_once(make_stack: MakeStack) -> None:
    stack = make_stack(workers=2, environment={**ENVIRONMENT, **gates.ENVIRONMENT, "PAUSE_MS": "400"})
    assert gates.run_steps(stack, rows=20_000, every_seconds=2.0) == []

"""The quick rolling deploy: one order of six at a fifth of the rate; and the harness detects each fault."""

from __future__ import annotations

import pytest

from loadtests.started.servers import IS_EMBEDDED
from longtasks.local_stack.child_process import wait_until
from longtasks.local_stack.procfile import free_port
from tests.chaos.oracle import Verdict
from tests.conftest import MakeStack
from tests.deploys.load import OpenLoad, Sent
from tests.deploys.rolling import Outcome, deploy, to_table

RATE = 40


@pytest.mark.slow
@pytest.mark.skipif(IS_EMBEDDED, reason="at this rate the test would measure SQLite's single writer")
def test_a_rolling_deploy_loses_and_duplicates_nothing_and_fails_no_request(make_stack: MakeStack) -> None:
    stack = make_stack(environment={"WEB_WORKERS": "2"})
    # `make rolling-deploy` judges lateness, on a machine of its own.
    outcome = deploy(stack, order=("web", "mirror", "worker"), rate=RATE)
    assert outcome.is_whole, f"{to_table([outcome])}\n{outcome.describe()}"
    assert outcome.accepted > RATE * 5


def test_an_unanswered_request_counts_as_failed() -> None:
    with OpenLoad(port=free_port(), rate=100) as load:
        assert wait_until(lambda: len(load.sent) >= 3, deadline_seconds=30)
    assert all(sent.fault for sent in load.sent)
    assert load.accepted == []


def test_the_outcome_reports_each_fault() -> None:
    def outcome(**values: object) -> Outcome:
        made = Outcome(("web",), 1, 1.0, 2, 2, [Sent(0.01, ""), Sent(0.02, "")], [0.1, 0.2], Verdict())
        for name, value in values.items():
            setattr(made, name, value)
        return made

    assert outcome().is_whole
    assert not outcome(accepted=0, records=0).is_whole
    assert not outcome(sent=[Sent(0.01, "ConnectionRefusedError()")]).is_whole
    assert not outcome(records=3).is_whole
    assert not outcome(verdict=Verdict(lost=["a"])).is_whole
    assert not outcome(verdict=Verdict(duplicated=["a"])).is_whole
    late = outcome(sent=[Sent(1.5, "")], starts=[4.0])
    assert (late.is_whole, late.is_late, late.late_answers, late.late_starts) == (True, True, 1, 1)
    assert not outcome().is_late

"""tasks_app/recovery/liveness_judge.py: when a silent worker counts as dead."""

from collections.abc import Callable

from tasks_app.queues import redis_connection
from tasks_app.recovery.liveness_judge import LivenessJudge
from tests.support.engine import beat


def test_a_worker_silent_during_a_redis_outage_is_not_dead(longtasks: Callable[..., None]) -> None:
    longtasks(lease_seconds=10)  # long enough for the heartbeat below to be fresh on a slow machine
    liveness = LivenessJudge(connection=redis_connection.get_connection())
    beat("alive", ago_seconds=20)
    assert liveness.find_dead({"alive"}) == {}
    liveness.forget()
    assert liveness.find_dead({"alive"}) == {}
    beat("alive")
    assert liveness.find_dead({"alive"}) == {}

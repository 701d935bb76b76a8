"""The delay between two tries: it doubles up to its maximum, however many tries an outage takes."""

from __future__ import annotations

import pytest

from tasks_app.resilience.retry_delay import get_delay_seconds


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 0.02), (2, 0.04), (3, 0.08), (6, 0.64), (7, 1.0), (100, 1.0), (100_000, 1.0)]
)
def test_the_delay_doubles_up_to_its_maximum(failures: int, seconds: float) -> None:
    delay = get_delay_seconds(failures, first_seconds=0.02, max_seconds=1.0, jitter=(1.0, 1.0))
    assert delay == pytest.approx(seconds)


def test_the_jitter_spreads_the_delays() -> None:
    delays = {get_delay_seconds(3, first_seconds=1.0, max_seconds=60.0) for _ in range(50)}
    assert len(delays) > 1
    assert all(3.2 <= delay <= 4.8 for delay in delays)

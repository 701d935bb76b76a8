"""tasks_app/domain/start_times.py: which times a client may give, and what each means."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tasks_app.domain import start_times
from tasks_app.domain.start_times import find_start, read_start_at

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
THREE = datetime(2026, 12, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-01T03:00+01:00", "2026-12-01T03:00:00+01:00", "2026-12-01T02:00:00Z", "2026-12-01t02:00:00z",
        "2026-12-01 02:00:00.000000Z", "20261201T020000Z", "2026-W49-2T02:00:00Z", " 2026-11-30T21:00:00-05:00 ",
    ],
)  # fmt: skip
def test_every_form_of_iso_8601_names_the_same_moment(text: str) -> None:
    assert read_start_at(text) == THREE
    assert read_start_at(text).tzinfo is UTC


@pytest.mark.parametrize("text", ["2026-12-01T03:00", "2026-12-01T03:00:00.5", "2026-12-01 03:00:00"])
def test_a_time_without_a_zone_is_refused_with_that_reason(text: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        read_start_at(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2026-12-01", "1796090400", "2026-13-01T00:00Z", "2026-02-30T00:00Z", "2026-12-01T25:00Z", "T", "Z", "+01:00T",
        "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-12-01T03:00+99:00", "2026-12-01x03:00Z", "T" * 41,
    ],
)  # fmt: skip
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Must be a time in ISO 8601"):
        read_start_at(text)


def test_a_start_is_in_the_future_or_at_once() -> None:
    assert find_start(None, now=NOW) is None
    assert find_start(NOW, now=NOW) is None
    assert find_start(datetime(1, 1, 1, tzinfo=UTC), now=NOW) is None
    soon = NOW + timedelta(microseconds=1)
    assert find_start(soon.astimezone(timezone(timedelta(hours=5))), now=NOW) == soon
    assert find_start(NOW + timedelta(days=start_times.MOST_DAYS), now=NOW) is not None
    with pytest.raises(ValueError, match="at most 366 days from now: the task waits in Redis's memory"):
        find_start(NOW + timedelta(days=start_times.MOST_DAYS, seconds=1), now=NOW)
    with pytest.raises(ValueError, match="no time zone"):
        find_start(NOW.replace(tzinfo=None), now=NOW)

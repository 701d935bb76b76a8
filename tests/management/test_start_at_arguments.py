"""`manage.py task start --at` and `task reschedule`."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tasks_app.models import AuditEntry
from tasks_app.queues import job_snapshots

pytestmark = pytest.mark.django_db(transaction=True)
LATER = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)


def said(*arguments: str) -> str:
    out = StringIO()
    call_command("task", *arguments, stdout=out)
    return out.getvalue()


def start_later() -> str:
    return str(json.loads(said("start", "upload", "--at", LATER.isoformat(), "--json"))["id"])


def test_a_task_is_started_for_later() -> None:
    shown = said("start", "upload", "--records", "5", "--at", f"{LATER + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}+01:00")
    assert f"begins at {LATER:%Y-%m-%d %H:%M:%S} UTC" in shown
    snapshot = job_snapshots.get_snapshot(shown.split()[0])
    assert snapshot is not None
    assert (snapshot.status, snapshot.start_at) == ("scheduled", LATER)
    assert f"would begin at {LATER:%Y-%m-%d %H:%M:%S} UTC" in said(
        "start", "upload", "--at", LATER.isoformat(), "--validate-only"
    )


def test_the_start_is_changed_also_to_now() -> None:
    task_id = start_later()
    later = LATER + timedelta(hours=5)
    assert f"begins at {later:%Y-%m-%d %H:%M:%S} UTC" in said("reschedule", task_id, "--at", later.isoformat())
    now = json.loads(said("reschedule", task_id, "--at", "now", "--json"))
    assert (now["status"], now["startAt"]) == ("queued", None)
    assert set(AuditEntry.objects.filter(task_id=task_id).values_list("action", "source")) == {
        ("start", "cli"), ("reschedule", "cli"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["start", "upload", "--at", "2026-12-01T03:00"], 2, "startAt: Has no time zone"),
        (["start", "upload", "--at", "tomorrow"], 2, "startAt: Must be a time in ISO 8601"),
        (["start", "upload", "--at", "9999-01-01T00:00Z"], 2, "startAt: Must be at most 366 days"),
        (["reschedule", "{id}", "--at", "tomorrow"], 2, "startAt: Must be a time in ISO 8601"),
        (["reschedule", "{id}", "--at", "9999-01-01T00:00Z"], 2, "startAt: Must be at most 366 days"),
        (["reschedule", "x", "--at", "now"], 4, "no task 'x'"),
        (["reschedule", "{canceled}", "--at", "now"], 5, "only a task that has not begun"),
    ],
)
def test_other_values_end_with_their_exit_code(arguments: list[str], code: int, words: str) -> None:
    ids: dict[str, Any] = {"id": start_later(), "canceled": start_later()}
    said("cancel", ids["canceled"])
    with pytest.raises(CommandError, match=words) as refused:
        said(*(argument.format(**ids) for argument in arguments))
    assert refused.value.returncode == code

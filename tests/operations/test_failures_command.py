"""`manage.py task start --max-failures`, `task status` and `task failures`: table, JSON, CSV, retry and exit codes."""

import csv
import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from tasks_app.models import AuditEntry
from tests.support.engine import Worker, job, positions, record
from tests.support.failing_tasks import begin

pytestmark = pytest.mark.django_db(transaction=True)
NOBODY = "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"


def call(*arguments: str) -> str:
    said = io.StringIO()
    call_command("task", *arguments, stdout=said)
    return said.getvalue()


def run(name: str = "failing", **params: Any) -> str:
    task_id = begin(name, **{"bad": [3, 7], **params})
    Worker().run()
    record(task_id)
    return task_id


def test_start_takes_the_bound_and_status_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    started = json.loads(call("start", "failing", "--params", '{"bad": [3]}', "--max-failures", "0.5%", "--json"))
    assert started["maxFailures"] == "0.5%"
    assert job(started["id"]).max_failures == "0.5%"
    Worker().run()
    task_id = run()
    assert f"2 failed records (manage.py task failures {task_id}); allowed: 100%" in call("status", task_id)


@pytest.mark.parametrize("given", ["x", "-1", "0%", "1000001", "", "9" * 5000])
def test_an_invalid_bound_is_refused(given: str) -> None:
    with pytest.raises(CommandError, match=r"max-failures: .* is not valid; accepted: an integer from 0"):
        call("start", "failing", f"--max-failures={given}")


def test_a_type_that_cannot_isolate_refuses_a_bound() -> None:
    with pytest.raises(CommandError, match="maxFailures: Must be 0"):
        call("start", "upload", "--max-failures", "5")


def test_status_shows_the_traceback_of_the_last_attempt() -> None:
    task_id = run("failing_once", bad=[3])
    assert "Traceback" not in call("status", task_id)
    failed = begin("failing_once", bad=[3], allowed="")
    Worker().run()
    shown = call("status", failed)
    assert "Traceback (most recent call last):" in shown
    assert "ValueError: record 3 is bad" in shown


def test_the_list_is_a_table_or_json_or_csv(capsys: pytest.CaptureFixture[str]) -> None:
    task_id = run()
    assert "2 failed records; allowed: 100%." in call("failures", task_id)
    assert "record 7 is bad" in capsys.readouterr().out
    lines = [json.loads(line) for line in call("failures", task_id, "--json").splitlines()]
    assert [line["position"] for line in lines] == [3, 7]
    rows = list(csv.DictReader(io.StringIO(call("failures", task_id, "--csv"), newline="")))
    assert [(row["failure_position"], row["phone"]) for row in rows] == [("3", "'=+3"), ("7", "'=+7")]


def test_odd_values_are_printed_safely(capsys: pytest.CaptureFixture[str]) -> None:
    call("failures", run("failing_oddly", bad=[3]))
    shown = capsys.readouterr().out
    assert "\x00" not in shown
    assert len(shown) < 5_000
    assert "\x00" in call("failures", run("failing_oddly", bad=[3]), "--csv")  # the data themselves


def test_retry_starts_a_task_of_them_and_is_audited() -> None:
    task_id = run()
    new = json.loads(call("failures", task_id, "--retry", "--json"))
    Worker().run()
    assert positions(new["id"]) == [3, 7]
    assert {entry.source for entry in AuditEntry.objects.filter(action="retry")} == {"cli"}


def test_exit_codes_say_what_is_wrong() -> None:
    for arguments, code in (
        (["failures", NOBODY], 4),
        (["failures", NOBODY, "--csv"], 4),
        (["failures", run(bad=[]), "--retry"], 5),
        (["failures", run("failing_once", bad=[3]), "--retry"], 5),
    ):
        with pytest.raises(CommandError) as refused:
            call(*arguments)
        assert refused.value.returncode == code

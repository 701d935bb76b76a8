"""`run_task` runs a task type in the test's process, as a worker runs it, and returns what the task has left."""

import datetime
import hashlib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rest_framework.exceptions import ValidationError

from catalog.models import Product, User
from tasks_app.domain.callers import Caller
from tasks_app.errors import NotAllowed
from tasks_app.models import TaskCheckpoint
from tasks_app.testing import TaskResult, make_rows
from tasks_app.testing.inline_task import NoRealTransactions
from tests.testing import author_types
from tests.testing.conftest import Registered

Run = Callable[..., TaskResult]
CSV = b"sku,name,price\na,Apple,1.50\nb,Pear,2\n"


def test_a_finished_task_has_its_counts_and_rows(run_task: Run, registered: Registered) -> None:
    name = registered(author_types.Greet)
    make_rows(User, 7, first_name=lambda number: f"Ann {number}")

    result = run_task(name, chunk_records=3)

    assert (result.status, result.done, result.total, result.counts) == ("finished", 7, 7, {"greeted": 7})
    assert set(User.objects.values_list("first_name", flat=True)) == {f"Dear Ann {number}" for number in range(1, 8)}
    assert TaskCheckpoint.objects.get().epoch == 1


@pytest.mark.parametrize("shard_records", [0, 2])
def test_a_split_task_runs_all_its_shards(run_task: Run, registered: Registered, shard_records: int) -> None:
    name = registered(author_types.Greet)
    make_rows(User, 9, first_name="Ann")

    result = run_task(name, shard_records=shard_records)

    assert (result.status, result.done, result.counts) == ("finished", 9, {"greeted": 9})
    assert set(User.objects.values_list("first_name", flat=True)) == {"Dear Ann"}
    assert TaskCheckpoint.objects.get(pk=result.id).shards == (5 if shard_records else 0)


def test_an_upload_is_split_by_its_records(run_task: Run) -> None:
    result = run_task("upload", {"numRecords": 25}, shard_records=10)
    assert (result.status, result.counts["users"]) == ("finished", 25)
    assert User.objects.filter(task_id=result.id).count() == 25


def test_an_error_of_the_type_is_raised(run_task: Run, registered: Registered) -> None:
    name = registered(author_types.Refuse)
    make_rows(User, 8)
    with pytest.raises(ValueError, match="user 3 is refused"):
        run_task(name)


def test_an_error_of_the_type_is_in_the_result_without_check(run_task: Run, registered: Registered) -> None:
    name = registered(author_types.Refuse)
    make_rows(User, 8)
    result = run_task(name, check=False, chunk_records=1)
    assert (result.status, result.done, result.counts) == ("failed", 2, {"greeted": 2})
    assert "ValueError: user 3 is refused" in result.error


def test_failing_records_are_left_out_and_listed(run_task: Run, registered: Registered) -> None:
    name = registered(author_types.Refuse)
    make_rows(User, 8)
    result = run_task(name, max_failures=2)
    assert (result.status, result.done, result.counts) == ("finished", 8, {"greeted": 6})
    assert [(each.code, each.message) for each in result.failures] == [
        ("ValueError", "user 3 is refused"),
        ("ValueError", "user 7 is refused"),
    ]


def test_a_file_is_given_as_bytes_or_as_a_path(run_task: Run, tmp_path: Path) -> None:
    result = run_task("import_products", {"file": CSV})
    assert (result.status, result.counts) == ("finished", {"products": 2})
    assert list(Product.objects.order_by("sku").values_list("sku", "price")) == [
        ("a", Decimal("1.50")),
        ("b", Decimal(2)),
    ]
    path = tmp_path / "more.jsonl"
    path.write_text('{"sku": "c", "name": "Plum", "price": 3}\n')
    assert run_task("import_products", {"file": path}).counts == {"products": 1}


def test_artifacts_are_read_from_the_storage_of_the_test(run_task: Run, task_storage: Path) -> None:
    run_task("upload", {"numRecords": 5})
    result = run_task("export_order_items", chunk_records=2)
    [file] = result.artifacts
    content = file.read()
    assert content.count(b"\r\n") == 6
    assert (file.name, file.size, file.sha256) == ("order_items.csv", len(content), hashlib.sha256(content).hexdigest())
    assert result.result == {"rows": 5, "bytes": len(content)}
    assert list((task_storage / "files").rglob("*"))


def test_params_may_be_pythons_own_values(run_task: Run, registered: Registered) -> None:
    name = registered(author_types.MoveUsers)
    since = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    result = run_task(name, {"city": "Lima", "since": since})
    assert TaskCheckpoint.objects.get(pk=result.id).state == {"since": "2026-01-02T00:00:00Z"}


@pytest.mark.parametrize("params", [{}, {"city": 5}, {"city": "x" * 81}, {"city": "Lima", "other": 1}])
def test_params_are_validated_as_those_of_a_request(run_task: Run, registered: Registered, params: Any) -> None:
    name = registered(author_types.MoveUsers)
    with pytest.raises(ValidationError):
        run_task(name, params)


def test_the_callers_rights_are_checked(run_task: Run) -> None:
    with pytest.raises(NotAllowed, match="Only an admin"):
        run_task("normalise_user_phones", caller=Caller(owner="ann", scope="write"))


def test_an_unknown_type_is_named(run_task: Run) -> None:
    with pytest.raises(ValidationError, match=r"Unknown task type 'nothing'\. Known: "):
        run_task("nothing")


@pytest.mark.django_db
def test_a_test_inside_a_transaction_is_refused() -> None:
    from tasks_app.testing import run_task

    with pytest.raises(NoRealTransactions, match="transaction=True"):
        run_task("upload", {"numRecords": 1})

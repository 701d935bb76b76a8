"""`assert_survives_crashes` passes right task types, and names the crash and the difference of wrong ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from catalog.models import Product, User
from tasks_app.models import TaskCheckpoint, TaskFailure, TaskFile
from tasks_app.testing import TaskResult, make_rows
from tasks_app.testing.crashes import CrashPoint, When
from tasks_app.testing.survival import list_points
from tests.testing import author_types
from tests.testing.conftest import Registered

Check = Callable[..., TaskResult]


@pytest.mark.parametrize("options", [{}, {"chunk_records": 1}, {"chunk_records": 100}, {"shard_records": 2}])
def test_a_right_type_survives_and_leaves_the_rows_as_they_were(
    assert_survives_crashes: Check, registered: Registered, options: dict[str, int]
) -> None:
    name = registered(author_types.Greet)
    make_rows(User, 8)
    before = list(User.objects.order_by("pk").values())

    result = assert_survives_crashes(name, **options)

    assert (result.status, result.counts) == ("finished", {"greeted": 8})
    assert list(User.objects.order_by("pk").values()) == before
    assert not TaskCheckpoint.objects.exists()


def test_failing_records_are_compared_too(assert_survives_crashes: Check, registered: Registered) -> None:
    name = registered(author_types.Refuse)
    make_rows(User, 8)
    result = assert_survives_crashes(name, max_failures=2)
    assert len(result.failures) == 2
    assert not TaskFailure.objects.exists()


def fails(check: Check, name: str, **options: Any) -> list[str]:
    """Return the lines of the error."""
    with pytest.raises(AssertionError) as caught:
        check(name, **options)
    return str(caught.value).splitlines()


def test_rows_that_are_written_outside_of_the_transaction_are_found(
    assert_survives_crashes: Check, registered: Registered
) -> None:
    name = registered(author_types.OutsideOfTheTransaction)
    make_rows(User, 4)
    head, *lines = fails(assert_survives_crashes, name)
    assert head == f"{name} does not survive a crash before commit 1 of 2. Against the undisturbed run it left:"
    assert any(line.startswith("- products: the row with id 1004 is one too many: id 1004, ") for line in lines), lines
    assert not Product.objects.exists()


def test_work_in_a_hook_after_the_commit_is_found(assert_survives_crashes: Check, registered: Registered) -> None:
    name = registered(author_types.AfterTheCommit)
    make_rows(User, 4)
    head, *lines = fails(assert_survives_crashes, name)
    assert "does not survive a crash after commit 1 of 2." in head
    assert "- users: the row with id 1 has city 'city 1' instead of 'done'" in lines


def test_work_outside_of_the_database_is_found_if_the_test_shows_it(
    assert_survives_crashes: Check, registered: Registered, tmp_path: Path
) -> None:
    name = registered(author_types.AppendsToAFile)
    author_types.AppendsToAFile.path = path = tmp_path / "seen.txt"
    make_rows(User, 4)
    assert_survives_crashes(name)
    head, line = fails(
        assert_survives_crashes, name, outside=path.read_text, reset=lambda: path.write_text("") and None
    )
    assert "a crash before commit 1 of 2" in head
    assert line == r"- outside: '1\n2\n3\n1\n2\n3\n4\n', undisturbed: '1\n2\n3\n4\n'"


def test_a_cursor_in_the_process_is_found(assert_survives_crashes: Check, registered: Registered) -> None:
    name = registered(author_types.RemembersInTheProcess)
    make_rows(User, 4)
    head, *lines = fails(assert_survives_crashes, name)
    assert "does not survive a crash after commit 1 of 2." in head
    assert "- users: the row with id 1 has position 201 instead of 101" in lines
    assert "- done: 7, undisturbed: 4" in lines


def test_an_error_of_the_resumed_task_names_the_crash(assert_survives_crashes: Check, registered: Registered) -> None:
    name = registered(author_types.InsertsAgain)
    [line] = fails(assert_survives_crashes, name)
    assert line.startswith(
        f"{name} does not survive a crash before commit 1 of 1: when it was resumed, it raised django.db.utils.IntegrityError: "
    )


def test_a_type_that_differs_without_a_crash_is_not_judged(
    assert_survives_crashes: Check, registered: Registered
) -> None:
    name = registered(author_types.DifferentEachTime)
    head, *lines = fails(assert_survives_crashes, name)
    assert head.startswith(f"Two undisturbed runs of {name} differ")
    assert [line.partition(":")[0] for line in lines] == ["- result", "- artifacts"]
    assert not TaskFile.objects.exists()


def test_an_error_of_the_undisturbed_run_is_raised_as_it_is(
    assert_survives_crashes: Check, registered: Registered
) -> None:
    name = registered(author_types.Refuse)
    make_rows(User, 8)
    with pytest.raises(ValueError, match="user 3 is refused"):
        assert_survives_crashes(name)


def test_an_ignored_column_that_does_not_exist_is_refused(assert_survives_crashes: Check) -> None:
    with pytest.raises(ValueError, match=r"ignore names users\.nothing, and no watched table has that column"):
        assert_survives_crashes("upload", models=[User], ignore=["users.nothing"])


@pytest.mark.parametrize(("commits", "most", "number"), [(0, 50, 0), (3, 50, 6), (1000, 50, 50), (3, 0, 2)])
def test_of_many_points_the_first_and_the_last_are_kept(commits: int, most: int, number: int) -> None:
    points = list_points(commits, most=most)
    assert len(points) == len(set(points)) == number
    if points:
        assert (points[0], points[-1]) == (CrashPoint(When.BEFORE, 1), CrashPoint(When.AFTER, commits))

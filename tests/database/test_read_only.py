"""A connection that was told to be read-only refuses every write, and accepts it again afterwards."""

from __future__ import annotations

import pytest
from django.db import DEFAULT_DB_ALIAS, Error, connection, transaction

from catalog.models import IdBlock
from tasks_app.database.read_only import is_refused_write, read_only

pytestmark = pytest.mark.django_db(transaction=True)


def test_writes_are_refused_inside_of_a_transaction_and_outside() -> None:
    IdBlock.objects.create(name="a", next_id=1)
    with read_only(DEFAULT_DB_ALIAS):
        assert IdBlock.objects.get(name="a").next_id == 1
        for statement in (
            lambda: IdBlock.objects.create(name="b", next_id=1),
            lambda: IdBlock.objects.update(next_id=2),
            lambda: IdBlock.objects.all().delete(),
        ):
            with pytest.raises(Error) as refused:
                statement()
            assert is_refused_write(refused.value), refused.value
            with pytest.raises(Error) as refused, transaction.atomic():
                statement()
            assert is_refused_write(refused.value), refused.value
    assert list(IdBlock.objects.filter(name__in=("a", "b")).values_list("name", "next_id")) == [("a", 1)]
    IdBlock.objects.filter(name="a").update(next_id=3)


def test_an_error_inside_ends_it_too() -> None:
    with pytest.raises(ZeroDivisionError), read_only(DEFAULT_DB_ALIAS):
        raise ZeroDivisionError
    IdBlock.objects.create(name="c", next_id=1)


def test_a_connection_that_was_closed_inside_is_writable() -> None:
    if connection.vendor == "sqlite" and connection.is_in_memory_db():  # type: ignore[attr-defined]
        pytest.skip("a database in memory ends with its connection")
    with read_only(DEFAULT_DB_ALIAS):
        connection.close()
    IdBlock.objects.create(name="d", next_id=1)


@pytest.mark.parametrize("error", [ValueError("readonly database"), Error(1213, "deadlock"), Error("locked")])
def test_other_errors_are_no_refused_write(error: Exception) -> None:
    assert not is_refused_write(error)

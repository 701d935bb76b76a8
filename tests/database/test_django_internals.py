"""Django's private and undocumented parts are where this project expects them."""

import inspect
from typing import Any

import pytest
from django.contrib.admin import AdminSite
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection, models, transaction
from django.http import HttpRequest, HttpResponse

from catalog.models import User
from tasks_app.database.django_internals import BatchedInsertQuerySet, forget_session_key, replace_login
from tasks_app.engine import chunk_guard


class RecordingQuerySet(BatchedInsertQuerySet[User]):
    inserted: list[tuple[Any, ...]]

    def insert_objects(self, *arguments: Any) -> None:
        self.inserted = [arguments]


def test_the_insert_of_bulk_create_takes_the_same_arguments() -> None:
    assert list(inspect.signature(models.QuerySet._batched_insert).parameters) == [  # type: ignore[attr-defined]
        *("self", "objs", "fields", "batch_size", "on_conflict", "update_fields", "unique_fields")
    ]


@pytest.mark.django_db
def test_bulk_create_inserts_through_it_alone() -> None:
    rows = RecordingQuerySet(User)
    user = User(pk=1)
    rows.bulk_create([user], batch_size=7)
    [(objs, fields, batch_size)] = rows.inserted
    assert (list(objs), batch_size) == ([user], 7)
    assert [field.attname for field in fields] == [field.attname for field in User._meta.concrete_fields]
    assert not User.objects.filter(pk=1).exists()


def test_a_session_store_forgets_its_key() -> None:
    assert isinstance(SessionBase.session_key, property)
    assert SessionBase.session_key.fset is None, "the key has a public setter now: use it"
    store = SessionStore("a" * 32)
    assert store.session_key == "a" * 32
    forget_session_key(store)
    assert store.session_key is None


def test_a_sites_login_is_what_its_address_shows() -> None:
    site = AdminSite(name="of_this_test")
    assert list(inspect.signature(site.login).parameters) == ["request", "extra_context"]

    def login(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return HttpResponse("ours")

    replace_login(site, login)
    [found] = [pattern for pattern in site.get_urls() if getattr(pattern, "name", "") == "login"]
    assert found.callback is login


@pytest.mark.django_db(transaction=True)
def test_a_connection_has_what_the_engine_reads_and_resets() -> None:
    connection.ensure_connection()
    assert (connection.atomic_blocks, connection.savepoint_ids, connection.run_on_commit) == ([], [], [])
    assert (connection.in_atomic_block, connection.needs_rollback) == (False, False)
    assert connection.autocommit is True
    assert connection.get_autocommit() is True
    assert connection.force_debug_cursor is False
    assert connection.execute_wrappers == []
    connection.queries_log.clear()
    for name in chunk_guard._DJANGO_METHODS:
        assert callable(getattr(connection, name))
        assert name not in vars(connection)
    with transaction.atomic():
        assert connection.in_atomic_block
        transaction.on_commit(print)
        [(savepoint_ids, hook, robust)] = connection.run_on_commit
        assert (savepoint_ids, hook, robust) == (set(), print, False)
        connection.run_on_commit = []

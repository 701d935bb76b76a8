"""Django's private and undocumented parts are where this project expects them."""

import inspect
import subprocess
import sys
from typing import Any

import pytest
from django.contrib.admin import AdminSite
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore
from django.core.cache import close_caches
from django.core.handlers.base import reset_urlconf
from django.core.handlers.wsgi import WSGIHandler
from django.db import close_old_connections, connection, models, reset_queries, transaction
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


def test_the_wsgi_handler_makes_requests_of_the_class_that_is_set() -> None:
    """longtasks/wsgi.py sets it, and disconnects Django's receivers."""
    assert "self.request_class(environ)" in inspect.getsource(WSGIHandler.__call__)
    assert {reset_urlconf, close_caches, close_old_connections, reset_queries} - list_receivers() == set()


def list_receivers() -> set[object]:
    """Return what a fresh Django connects to the signals of a request; this process may have disconnected it."""
    code = (
        "import django.db, django.core.cache, django.core.handlers.base\n"
        "from django.core.signals import request_finished, request_started\n"
        "for signal in (request_started, request_finished):\n"
        "    for receiver in signal.receivers: print(receiver[1]().__name__)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    return {
        each for each in (reset_urlconf, close_caches, close_old_connections, reset_queries) if each.__name__ in said
    }

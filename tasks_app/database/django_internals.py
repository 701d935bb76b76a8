"""The private parts of Django that this project uses: `bulk_create`'s insert, a session's key, the admin's login.

- `QuerySet._batched_insert`: what `bulk_create` calls to insert. A public way would be to write `bulk_create` again.
- `SessionBase._session_key`: a store forgets an unknown key with it; the public `session_key` is read-only.
- `AdminSite.login`, an instance's method that is replaced: a site of our own would have to replace unfold's.
tests/database/test_django_internals.py fails when Django changes; it also checks the undocumented attributes of a
connection, which the engine uses (tasks_app/engine/chunk_guard.py, leftovers.py), and what longtasks/wsgi.py replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import models

if TYPE_CHECKING:  # models import this module, and the admin cannot be imported before them
    from django.contrib.admin import AdminSite
    from django.contrib.sessions.backends.base import SessionBase
    from django.http import HttpResponse

AnyModel = TypeVar("AnyModel", bound=models.Model)


class BatchedInsertQuerySet(models.QuerySet[AnyModel]):
    """A QuerySet whose `bulk_create` inserts with `insert_objects`, unless it resolves conflicts."""

    def insert_objects(
        self, objs: Sequence[AnyModel], fields: Sequence[models.Field[Any, Any]], batch_size: int | None
    ) -> None:
        """Insert the objects with these fields, up to `batch_size` rows a statement; None: as many as is good."""
        raise NotImplementedError

    def _batched_insert(
        self,
        objs: Sequence[AnyModel],
        fields: Sequence[models.Field[Any, Any]],
        batch_size: int | None,
        on_conflict: Any = None,
        **options: Any,
    ) -> list[Any]:
        if on_conflict is not None:
            return super()._batched_insert(  # type: ignore[misc, no-any-return]
                objs, fields, batch_size, on_conflict=on_conflict, **options
            )
        self.insert_objects(objs, fields, batch_size)
        return []


def forget_session_key(store: SessionBase) -> None:
    """Make a session store create a new key when it saves."""
    store._session_key = None


def replace_login(site: AdminSite, login: Callable[..., HttpResponse]) -> None:
    """Make an admin site show `login` as its page."""
    site.login = login  # type: ignore[method-assign]

"""Audit entries for changes of users, groups and their permissions, in the admin and on the command line.

Owns the text of these entries. Must not contain a password, nor change a user.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import Group, User
from django.db.models.signals import post_save

from tasks_app.auth import audit_log
from tasks_app.models import AuditEntry


def record_change(*, who: User | Group, change: str, actor: str, source: str) -> None:
    """Record a change of a user or a group, with the resulting rights."""
    rights = "" if change == "deleted" else f"; now {_list_rights(who)}"
    detail = f"{who._meta.model_name} {who} {change}{rights}"
    audit_log.record(action=AuditEntry.Action.STAFF, source=source, actor=actor, detail=detail)


@contextmanager
def recorded_saves(*, change: str, actor: str) -> Iterator[None]:
    """Record each user that is saved in this context, by Django's createsuperuser or changepassword."""

    def note(instance: User, **_: Any) -> None:
        record_change(who=instance, change=change, actor=actor, source=audit_log.CLI)

    post_save.connect(note, sender=User)
    try:
        yield
    finally:
        post_save.disconnect(note, sender=User)


def _list_rights(who: User | Group) -> str:
    permissions: Any
    if isinstance(who, Group):
        flags, groups, permissions = [], [], who.permissions
    else:
        kinds = {"active": who.is_active, "staff": who.is_staff, "superuser": who.is_superuser}
        flags = [name for name, holds in kinds.items() if holds]
        groups = [f"group {name}" for name in who.groups.order_by("name").values_list("name", flat=True)]
        permissions = who.user_permissions
    granted = permissions.order_by("content_type__app_label", "codename")
    names = [f"{app}.{name}" for app, name in granted.values_list("content_type__app_label", "codename")]
    return ", ".join((*flags, *groups, *names)) or "without any right"

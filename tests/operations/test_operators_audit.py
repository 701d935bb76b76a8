"""Every action of an operator is in the audit with its actor; a new command must declare whether it is one.

tests/security/test_matrix.py checks the admin's forms.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command, get_commands, load_command_class
from django.db import DatabaseError
from django.test import Client

from tasks_app.auth import api_tokens, audit_log
from tasks_app.management.actor import find_actor
from tasks_app.models import ApiToken, AuditEntry, SetAsideItem
from tasks_app.queues import redis_connection
from tasks_app.resilience import set_aside_items
from tests.admin.conftest import start

pytestmark = pytest.mark.django_db
SERVES, READS, DEVELOPS = "serves until it is stopped", "only reads", "for developers: writes no task"
# Commands of other packages that change our data are listed as well. Django's own (migrate, shell, …) are the DBA's.
NOT_AUDITED = {
    "demo": "on a stack of its own",
    "doctor": READS,
    "processes": READS,
    "queues": READS,
    "mirror": SERVES,
    "rqscheduler": SERVES,
    "rqworker": SERVES,
    "rqworker-pool": SERVES,
    "rqcron": SERVES,
    "up": SERVES,
    "webhooks": SERVES,
    "worker": SERVES,
    "workers": SERVES,
    "reload": "replaces processes, which log their start",
    "rqstats": READS,
    "generate_fake_data": DEVELOPS,
    "load_test_context": DEVELOPS,
    "write_sql": DEVELOPS,
    "generateschema": DEVELOPS,
    "spectacular": DEVELOPS,
    "collectstatic": DEVELOPS,
    "findstatic": DEVELOPS,
    "runserver": DEVELOPS,
    "clearsessions": "deletes what has expired",
    "remove_stale_contenttypes": "part of an upgrade, as migrate is",
}


def _end(task_id: str) -> str:
    call_command("task", "cancel", task_id, stdout=io.StringIO())
    return task_id


def _token() -> str:
    return str(api_tokens.create_token(owner="ann", scope="read")[0].pk)


def _set_aside() -> str:
    set_aside_items.note(
        kind=set_aside_items.TOTAL, key=str(uuid.uuid4()), payload=b"finished 1", error="it was refused"
    )
    return str(SetAsideItem.objects.latest("pk").pk)


def in_an_hour() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Act:
    """A command line and its action in the audit; `given` creates its last argument."""

    words: tuple[str, ...]
    action: str
    given: Callable[[], str] | None = None


ACTS = (
    Act(("token", "create", "ann"), "create_token"),
    Act(("token", "revoke"), "revoke_token", _token),
    Act(("prune", "--older-than", "30d"), "prune"),
    Act(("createsuperuser", "--noinput", "--username", "root", "--email", "root@example.com"), "staff"),
    Act(("changepassword",), "staff", lambda: User.objects.create_user("ann").username),
    Act(("queue", "pause", "low"), "pause"),
    Act(("queue", "resume", "low"), "resume"),
    Act(("rqsuspend", "--duration", "5"), "pause"),
    Act(("rqresume",), "resume"),
    Act(("rqenqueue", "tasks_app.pruning.run_scheduled"), "start"),
    Act(("set_aside", "retry"), "try_again", _set_aside),
    Act(("set_aside", "drop"), "drop", _set_aside),
    Act(("task", "start", "upload", "--records", "3"), "start"),
    Act(("task", "cancel"), "cancel", start),
    Act(("task", "retry"), "retry", lambda: _end(start())),
    Act(("task", "reschedule", "--at", "now"), "reschedule", lambda: start(start_at=in_an_hour())),
)


def test_each_command_is_audited_or_declares_why_not() -> None:
    known = {name for name, app in get_commands().items() if app != "django.core"}
    audited = {act.words[0] for act in ACTS}
    assert audited.isdisjoint(NOT_AUDITED)
    assert known == audited | NOT_AUDITED.keys()


def test_each_action_of_a_command_with_several_is_known() -> None:
    """A new subcommand is audited, or listed here as one that only reads."""
    reads = {
        "token": {"list"},
        "set_aside": {"list"},
        # `failures --retry` starts a task: tests/operations/test_failures_command.py; `new` writes source files.
        # `wait` starts what a migration could not, as that would have: tests/migration_gates/test_wait.py
        "task": {"status", "wait", "list", "verify", "plan", "failures", "new"},
        "queue": set[str](),
    }
    for name, harmless in reads.items():
        parser: Any = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
        choices = next(
            set(action.choices) for action in parser._actions if action.choices and not action.option_strings
        )
        assert choices == harmless | {act.words[1] for act in ACTS if act.words[0] == name}, name


@pytest.mark.parametrize("act", ACTS, ids=lambda act: " ".join(act.words[:2]))
def test_an_action_leaves_an_entry_with_its_actor(act: Act, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getpass", lambda prompt="": "a long enough passw0rd")
    words = [*act.words, act.given()] if act.given else list(act.words)
    before = set(AuditEntry.objects.values_list("pk", flat=True))

    call_command(*words, stdout=io.StringIO())

    [entry] = AuditEntry.objects.exclude(pk__in=before)
    assert (entry.action, entry.source, entry.actor) == (act.action, audit_log.CLI, find_actor())
    redis_connection.get_connection().flushdb()


def test_the_entries_of_tokens_name_the_token_and_not_its_secret() -> None:
    token, secret = api_tokens.create_token(owner="ann", scope="admin", created_by="olga", source=audit_log.ADMIN)
    api_tokens.revoke_token(token_id=token.pk, actor="vera", source=audit_log.ADMIN)
    api_tokens.revoke_token(token_id=token.pk, actor="vera", source=audit_log.ADMIN)  # already revoked

    made, revoked = AuditEntry.objects.order_by("pk")
    assert (made.action, made.actor, made.source) == ("create_token", "olga", "admin")
    assert (revoked.action, revoked.actor, revoked.source) == ("revoke_token", "vera", "admin")
    for entry in (made, revoked):
        assert entry.detail == f"token {token.pk} {token.prefix}… of ann, scope admin"
        assert secret not in entry.detail
        assert token.digest not in entry.detail


def test_no_token_is_created_or_revoked_without_its_audit_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    token, _ = api_tokens.create_token(owner="ann", scope="read")

    def fail(**_: Any) -> None:
        raise DatabaseError("the audit cannot be written")

    monkeypatch.setattr(audit_log, "record", fail)
    with pytest.raises(DatabaseError):
        api_tokens.create_token(owner="bob", scope="read")
    with pytest.raises(DatabaseError):
        api_tokens.revoke_token(token_id=token.pk)
    assert not ApiToken.objects.filter(owner="bob").exists()
    token.refresh_from_db()
    assert token.revoked_at is None


def test_a_dry_run_of_prune_is_not_audited() -> None:
    call_command("prune", "--older-than", "30d", "--dry-run", stdout=io.StringIO())
    assert not AuditEntry.objects.exists()


@pytest.fixture
def superuser() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    return client


def test_a_change_of_rights_names_the_user_and_the_new_rights(superuser: Client) -> None:
    user = User.objects.create_user("vera")
    group = Group.objects.create(name="operators")
    form = {
        "username": "vera", "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00", "is_active": "on",
        "is_staff": "on", "groups": [group.pk],
        "user_permissions": [Permission.objects.get(codename="operate_tasks").pk],
    }  # fmt: skip
    superuser.post(f"/admin/auth/user/{user.pk}/change/", form)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.source) == ("staff", "olga", "admin")
    assert entry.detail == "user vera changed; now active, staff, group operators, tasks_app.operate_tasks"

    superuser.post("/admin/auth/group/", {"action": "delete_selected", "_selected_action": [group.pk], "post": "yes"})
    assert AuditEntry.objects.latest("pk").detail == "group operators deleted"
    assert not Group.objects.exists()


def test_a_failed_audit_entry_rolls_back_the_change_of_a_user(
    superuser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = User.objects.create_user("vera", password="before")

    def fail(**_: Any) -> None:
        raise DatabaseError("the audit cannot be written")

    monkeypatch.setattr(audit_log, "record", fail)
    superuser.raise_request_exception = False
    passwords = {"usable_password": "true", "password1": "a long passw0rd", "password2": "a long passw0rd"}
    superuser.post(f"/admin/auth/user/{user.pk}/password/", passwords)
    superuser.post("/admin/auth/user/", {"action": "delete_selected", "_selected_action": [user.pk], "post": "yes"})
    user.refresh_from_db()
    assert user.check_password("before")


def test_the_audit_page_shows_the_entries(superuser: Client) -> None:
    token, _ = api_tokens.create_token(owner="ann", scope="read", created_by="root")
    shown = superuser.get("/admin/tasks_app/auditentry/?action=create_token").content.decode()
    assert "create token" in shown
    assert f"token {token.pk} {token.prefix}… of ann, scope read" in shown

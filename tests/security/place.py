"""The service at one moment, with tasks of two owners: created once, read, and restored after a change.

Owns: the objects and their addresses. The tests compare its state before and after a request.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.apps import apps
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.core.files.base import ContentFile
from django.db import connection, transaction
from django.db.models import Model
from django.test import Client

from catalog.models import MODELS
from tasks_app.auth import api_tokens
from tasks_app.domain.callers import WRITE, Caller
from tasks_app.files.links import make_link
from tasks_app.files.storage import get_storage
from tasks_app.models import ApiToken, AuditEntry, SetAsideItem, TaskCheckpoint, TaskRecord
from tasks_app.queues import redis_connection, redis_keys
from tasks_app.resilience import set_aside_items
from tasks_app.services import start_tasks
from tasks_app.services.start_tasks import NewTask
from tests.catalog.conftest import upload
from tests.security.callers import OTHER, OWNER
from tests.security.doors import Door
from tests.support.mirror import run_mirror
from tests.support.stored_files import upload as upload_file

_CONTENT: Final = b"a file that was described-by-ann"
# Only the owner, administrators and staff with the view permission may see it.
SECRETS: Final = ("described-by-ann", "raised-by-anns-task", OWNER)


class Place:
    """The objects that requests need: a waiting and a failed task of the owner, their rows, one of each other kind."""

    def __init__(self) -> None:
        self.waiting = self._start(OWNER, "described-by-ann")
        self.failed = self._start(OWNER, "described-by-ann")
        self.others = self._start(OTHER, "described-by-bob")
        run_mirror()
        self._fail(self.failed)
        upload(records=2, task_id=uuid.UUID(self.failed))
        set_aside_items.note(
            kind=set_aside_items.TASK, key=self.waiting, payload=b"described-by-ann", error="it was wrong"
        )
        self._file = upload_file(_CONTENT, owner=OWNER, name="described-by-ann").row
        self._linked = upload_file(b"for whoever has the link", owner=OTHER, name="linked.txt").row
        self._products = upload_file(b"sku,name,price\n", owner=OWNER, name="described-by-ann.csv").row
        user = User.objects.create_user("somebody", password="a password")
        Group.objects.create(name="some group")
        self._keys = {model: model.objects.order_by("pk").first().pk for model in (*MODELS, Group, SetAsideItem)}
        self._keys |= {User: user.pk, ApiToken: api_tokens.create_token(owner=OWNER, scope="read")[0].pk}
        self._redis = redis_connection.get_connection()
        self._dump: dict[bytes, bytes] = {}
        self._ends: dict[bytes, int] = {}
        self._seen: dict[str, Any] = {}
        self.audit_entries = 0  # number when the state was saved

    def keep(self) -> None:
        """Save the state of Redis for `restored`."""
        self._dump = self._look_at_redis()
        self._ends = {key: self._redis.pttl(key) for key in self._dump}
        self._seen = self.look()
        self.audit_entries = AuditEntry.objects.count()

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Restore the rows and Redis after the block."""
        with transaction.atomic():
            yield
            transaction.set_rollback(True)
        if not get_storage().exists(self._file.storage_key):
            get_storage().save(self._file.storage_key, ContentFile(_CONTENT))
        if self._look_at_redis() == self._seen["Redis"]:
            return  # avoid a write: each waits for the disk
        pipeline = self._redis.pipeline()
        pipeline.flushdb()
        for key, value in self._dump.items():
            pipeline.restore(key, max(0, self._ends[key]), value)
        pipeline.execute()

    def send(self, client: Client, door: Door) -> Any:
        """Send a request to a door: a form to the dashboard, JSON to the API."""
        address, content = self.address(door.route), self.form(door)
        if door.route.startswith("admin"):
            if door.method == "POST":
                return client.post(address, content)
            return client.generic(door.method, address)
        body = "" if door.method in ("GET", "HEAD") else json.dumps(content)
        return client.generic(door.method, address, body, content_type="application/json")

    def has_changed(self) -> bool:
        """Return whether anything differs from the saved state, except for the data of a session."""
        return self.look() != self._seen

    def look(self) -> dict[str, Any]:
        """Return all that can change: every table's rows, and the whole of Redis."""
        seen: dict[str, Any] = {}
        with connection.cursor() as cursor:
            for model in apps.get_models(include_auto_created=True):
                if model is Session or not model._meta.managed:
                    continue
                cursor.execute(f"SELECT * FROM {connection.ops.quote_name(model._meta.db_table)}")
                seen[model._meta.db_table] = cursor.fetchall()
        seen["Redis"] = self._look_at_redis()
        return seen

    def _look_at_redis(self) -> dict[bytes, bytes]:
        keys = sorted(self._redis.keys())
        pipeline = self._redis.pipeline(transaction=False)
        for key in keys:
            pipeline.dump(key)
        return dict(zip(keys, pipeline.execute(), strict=True))

    def address(self, route: str) -> str:
        """Return the address of a route in this place."""
        address = route
        if route == "files":
            return "/files?name=a.json"
        if route.startswith("files/"):
            return "/" + route.replace("<str:id>", str(self._file.pk))
        task = self.failed if route.endswith(("/retry", "/retry/", "/again/")) else self.waiting
        for placeholder, value in {
            "<str:id>": task,
            "<str:task_id>": task,
            "<str:job_id>": task,
            "<str:link>": make_link(self._linked.pk)[0],
            "<str:name>": "low",
            "<int:queue_index>": "1",
            "<str:key>": "w1",
            "<int:scheduler_index>": "0",
            "<int:connection_index>": "0",
            "<str:scheduler_name>": "nightly",
            "<path:cron_job_name>": "prune",
            "<str:result_id>": "1-0",
            "<path:content_type_id>/<path:object_id>": "1/1",
            "<path:object_id>": self._key_of(route),
            "<id>": str(self._keys[User]),
            "<path:row>": "1/1/",
            "<path:path>": "tasks_app/icon.svg",
            "(?P<token>[\\w]+)?": "token",
            "(?P<url>.*)$": "nothing/here",
            "/?$": "",
            "^": "",
            "$": "",
        }.items():
            address = address.replace(placeholder, value)
        assert not set("<>^$?") & set(address), f"give values for the parts of {route} in {__name__}"
        return f"/{address}"

    def _key_of(self, route: str) -> str:
        rows: dict[str, type[Model]] = {
            "auth/user/": User,
            "auth/group/": Group,
            "tasks_app/apitoken/": ApiToken,
            "tasks_app/setasideitem/": SetAsideItem,
            "catalog/user/": MODELS[0],
            "catalog/product/": MODELS[1],
            "catalog/orderitem/": MODELS[2],
        }
        return next((str(self._keys[model]) for part, model in rows.items() if part in route), "1")

    def _params_of(self, task_type: str) -> dict[str, Any]:
        others = {
            "purge": {"taskId": self.failed},
            "export_order_items": {"taskId": self.failed},
            "import_products": {"file": str(self._products.pk)},
            "normalise_user_phones": {},
            "deduplicate_users": {},
            "prune_order_items": {"orderedBefore": "2000-01-01T00:00:00Z"},
        }
        return others.get(task_type, {"numRecords": 2})

    def form(self, door: Door) -> dict[str, Any]:
        """Return the data that makes this door do its work."""
        address, action = self.address(door.route), door.action
        if door.route in ("tasks", "tasks/bulk"):
            params = self._params_of(action)
            task = {"name": action or "upload", "params": params}
            return {"tasks": [task]} if door.route == "tasks/bulk" else task
        if door.route.endswith("taskrecord/change/"):
            task_id = self.failed if action == "retry" else self.waiting
            return {"action": action or "cancel", "task": [task_id]}
        if door.route.endswith(("/reschedule", "/reschedule/")):
            tomorrow = datetime.now(UTC) + timedelta(days=1)
            return (
                {"startAt": tomorrow.isoformat()}
                if door.route[0] == "t"
                else {"start_at": f"{tomorrow:%Y-%m-%dT%H:%M}"}
            )
        if door.route.endswith("/priority/"):
            return {"priority": "high"}
        if door.route.endswith("taskrecord/start/"):
            name = action or "upload"
            # The form has two inputs for a file: one for the file itself, and one for the id of an uploaded file.
            inputs = {"file": "params-file_id"}
            params = {inputs.get(each, f"params-{each}"): value for each, value in self._params_of(name).items()}
            return {"type": name, "priority": "low", "description": "", **params}
        if "queues/actions/" in door.route:
            return {"action": action or "delete", "job_ids": [self.waiting]}
        if "queues/confirm-action/" in door.route:
            return {"action": "delete", "_selected_action": [self.waiting], "next_url": "/admin/"}
        if action:
            return {"action": action, "_selected_action": [self._key_of(address)], "post": "yes"}
        forms = {
            "apitoken/add/": {"owner": "carl", "scope": "read"},
            "auth/user/add/": {"username": "new", "usable_password": "true", **_passwords("A long passw0rd")},
            "auth/user/<id>/password/": {"usable_password": "true", **_passwords("A long passw0rd")},
            "auth/group/add/": {"name": "new"},
            "auth/group/<path:object_id>/change/": {"name": "renamed"},
            "auth/user/<path:object_id>/change/": {
                "username": "renamed", "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00",
            },
            "/delete/": {"post": "yes"},
            "password_change/": {
                "old_password": "a password", "new_password1": "A long passw0rd", "new_password2": "A long passw0rd",
            },
        }  # fmt: skip
        return next((form for part, form in forms.items() if part in door.route), {})

    @staticmethod
    def _start(owner: str, description: str) -> str:
        task = NewTask("upload", {"numRecords": 3}, description=description)
        return start_tasks.start_task(task=task, caller=Caller(owner=owner, scope=WRITE)).snapshot.id

    @staticmethod
    def _fail(task_id: str) -> None:
        error, now = "ValueError: raised-by-anns-task", datetime.now(UTC)
        TaskCheckpoint.objects.update_or_create(
            task_id=uuid.UUID(task_id),
            defaults={"outcome": "failed", "epoch": 1, "error": error, "ended_at": now, "updated_at": now},
        )
        TaskRecord.objects.filter(pk=task_id).update(status="failed", epoch=1, error=error, ended_at=now)
        redis = redis_connection.get_connection()
        redis.delete(redis_keys.job_key(task_id))
        redis.lrem(redis_keys.queue_key("low"), 0, task_id)


def _passwords(password: str) -> dict[str, str]:
    return {"password1": password, "password2": password}

"""Django's system checks of the project that tasks_app is installed in: what its settings lack, and what to add.

Owns the conditions that no dict LONGTASKS can set. Must not connect to a store (`manage.py doctor` does).
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, Final

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import DEFAULT_DB_ALIAS, connections, router

from tasks_app.conf import settings
from tasks_app.conf.project import is_embedded
from tasks_app.models import TaskCheckpoint

ENGINES: Final = ("sqlite", "mysql")  # Django's names; mysql is also MariaDB
_JSON: Final = "rq.serializers.JSONSerializer"


def check_project(**_: Any) -> list[CheckMessage]:
    """Return what would go wrong in this project."""
    return [*_check_database(), *_check_time(), *_check_options(), *_check_queues()]


def _check_database() -> Iterator[CheckMessage]:
    alias = router.db_for_write(TaskCheckpoint)
    if alias != DEFAULT_DB_ALIAS:
        yield Error(
            f"DATABASE_ROUTERS send the tables of tasks_app to the database {alias!r}.",
            hint=f"tasks_app and the rows that its tasks write must be in {DEFAULT_DB_ALIAS!r}: a chunk and its checkpoint "
            "commit together.",
            id="longtasks.E001",
        )
        return
    connection = connections[alias]
    if connection.vendor not in ENGINES:
        yield Error(
            f"The database is {connection.vendor}.",
            hint="tasks_app needs MySQL, MariaDB or SQLite in DATABASES['default'].",
            id="longtasks.E002",
        )
    options = connection.settings_dict.get("OPTIONS", {})
    if connection.vendor == "sqlite" and options.get("transaction_mode") != "IMMEDIATE":
        yield Warning(
            "SQLite's transactions take the write lock late, and then fail at once while another process writes.",
            hint='Set DATABASES["default"]["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "timeout": 30}.',
            id="longtasks.W003",
        )
    if settings.LONGTASKS.bulk_writer and not (connection.vendor == "mysql" and options.get("local_infile")):
        yield Error(
            "BULK_WRITER is set, and the database's connection does not allow LOAD DATA LOCAL INFILE.",
            hint='Use MySQL or MariaDB with OPTIONS = {"local_infile": True}, or unset BULK_WRITER.',
            id="longtasks.E004",
        )


def _check_time() -> Iterator[CheckMessage]:
    if not settings.USE_TZ:
        yield Error("USE_TZ is False.", hint="tasks_app stores times in UTC: set USE_TZ = True.", id="longtasks.E005")


def _check_options() -> Iterator[CheckMessage]:
    if settings.LONGTASKS.tracing and not (find_spec("opentelemetry") and find_spec("opentelemetry.sdk")):
        yield Error(
            "TRACING is set, and the OpenTelemetry SDK is not installed.",
            hint="pip install 'longtasks[tracing]', or unset TRACING.",
            id="longtasks.E006",
        )


def _check_queues() -> Iterator[CheckMessage]:
    """RQ knows a queue by its name alone: workers of other queues of this name in the same Redis would fail our tasks."""
    if not is_embedded():
        return
    theirs: dict[str, Any] = getattr(django_settings, "RQ_QUEUES", None) or {}
    shared = [name for name in settings.LONGTASKS.queues if name in theirs and theirs[name].get("SERIALIZER") != _JSON]
    if shared and _find_server(theirs[shared[0]]) == _find_server(settings.RQ_QUEUES[shared[0]]):
        yield Error(
            f"RQ_QUEUES has queues of the same names as tasks_app, in the same Redis database: {', '.join(shared)}.",
            hint='Give tasks_app a Redis database of its own, such as LONGTASKS = {"REDIS_URL": "redis://localhost:6379/1"}.',
            id="longtasks.E007",
        )


def _find_server(queue: dict[str, Any]) -> tuple[str, str]:
    """Return host and port, and the number of the database, as django-rq finds them."""
    if url := str(queue.get("URL") or ""):
        address, _, database = url.partition("?")[0].partition("://")[2].rpartition("@")[2].partition("/")
        host, _, port = address.partition(":")
        return f"{host or 'localhost'}:{port or 6379}", database or "0"
    return f"{queue.get('HOST', 'localhost')}:{queue.get('PORT', 6379)}", str(queue.get("DB") or 0)

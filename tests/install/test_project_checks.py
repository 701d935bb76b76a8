"""The system checks of a project that tasks_app is installed in."""

from typing import Any

import pytest
from django.db import connections
from django.test import override_settings

from tasks_app.operations.project_checks import check_project


class ElsewhereRouter:
    """A router of another project that keeps all tables in a second database."""

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "other"


def list_ids() -> list[str | None]:
    return [each.id for each in check_project()]


def test_this_project_is_in_order() -> None:
    assert list_ids() == []


@override_settings(DATABASE_ROUTERS=[f"{__name__}.ElsewhereRouter"])
def test_tables_in_another_database_are_refused() -> None:
    [found] = check_project()
    assert found.msg == "DATABASE_ROUTERS send the tables of tasks_app to the database 'other'."
    assert found.id == "longtasks.E001"


@override_settings(USE_TZ=False)
def test_local_times_are_refused() -> None:
    assert list_ids() == ["longtasks.E005"]


def test_other_databases_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections["default"], "vendor", "postgresql")
    assert list_ids() == ["longtasks.E002"]


def test_sqlite_must_take_its_lock_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections["default"], "vendor", "sqlite")
    monkeypatch.setitem(connections["default"].settings_dict, "OPTIONS", {})
    assert list_ids() == ["longtasks.W003"]


@override_settings(LONGTASKS={"BULK_WRITER": True, "TRACING": False})
def test_bulk_writer_needs_an_option_of_the_connection() -> None:
    assert list_ids() == ["longtasks.E004"]


@pytest.mark.parametrize(
    ("theirs", "ids"),
    [
        ({"default": {"URL": "redis://localhost:6379/0"}}, []),
        ({"high": {"URL": "redis://localhost/0"}}, ["longtasks.E007"]),
        ({"high": {"HOST": "localhost", "PORT": 6379, "DB": 0}}, ["longtasks.E007"]),
        ({"high": {"HOST": "localhost", "DB": 1}}, []),
        ({"low": {"URL": "redis://localhost", "SERIALIZER": "rq.serializers.JSONSerializer"}}, []),
    ],
)
def test_queues_of_others_in_the_same_redis_need_other_names(theirs: dict[str, Any], ids: list[str]) -> None:
    with override_settings(LONGTASKS={}, RQ_QUEUES=theirs):
        assert list_ids() == ids

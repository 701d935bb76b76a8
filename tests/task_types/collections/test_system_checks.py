"""`manage.py check` refuses a collection that cannot be read by key, as far as it can be built without parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from django.core import checks

from tasks_app.task_types.collections import Backfill, Cleanup
from tasks_app.task_types.collections.system_checks import list_faults
from tests.task_types.collections.conftest import Registered
from tests.task_types.collections.models import Child, NarrowChild, Number, OldChild, Tenant


class Plain(Backfill):
    def collection(self, params: Any) -> Any:
        return Number.objects.all()


@dataclass
class Needed:
    least: int


def make(base: type = Plain, **attributes: Any) -> Any:
    return type("Made", (base,), attributes)()


def test_a_fault_of_a_registered_type_is_an_error_of_the_check(registered: Registered) -> None:
    assert [found for found in checks.run_checks() if found.id == "tasks_app.E001"] == []
    registered(type("Odd", (Plain,), {"collection": lambda self, params: Number.objects.order_by("note")}))
    [found] = [found for found in checks.run_checks() if found.id == "tasks_app.E001"]
    assert "remove it" in found.msg


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"collection": lambda self, params: Number.objects.all()[:3]}, "is a slice"),
        ({"collection": lambda self, params: Tenant.objects.all(), "cursor_fields": ("maybe",)}, "may be null"),
        ({"collection": lambda self, params: None}, "return a QuerySet"),
    ],
)
def test_faults_are_found_without_a_task(attributes: dict[str, Any], words: str) -> None:
    [fault] = list_faults(make(**attributes))
    assert words in fault


def test_an_archive_that_lacks_a_column_is_a_fault() -> None:
    collection = {"collection": lambda self, params: Child.objects.all()}
    [fault] = list_faults(make(Cleanup, archive_to=NarrowChild, **collection))
    assert "has no visits, note, parent_id" in fault
    assert list_faults(make(Cleanup, archive_to=OldChild, **collection)) == []
    own = {"archive": lambda self, rows, run: None}
    assert list_faults(make(Cleanup, archive_to=NarrowChild, **collection, **own)) == []


@pytest.mark.parametrize(
    "attributes",
    [
        {"params_class": Needed, "collection": lambda self, params: Number.objects.all()[: params.least]},
        {"collection": lambda self, params: Number.objects.filter(pk=Number.objects.get(pk=1).pk)[:1]},
        {"collection": lambda self, params: params["absent"]},
    ],
    ids=["needs params", "runs a query", "raises"],
)
def test_what_a_check_cannot_see_is_left_to_the_first_attempt(attributes: dict[str, Any]) -> None:
    assert list_faults(make(**attributes)) == []

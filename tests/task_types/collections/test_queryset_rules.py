"""A collection that cannot be read by key is refused, with what to do instead."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from tasks_app.task_types.collections.queryset_rules import find_faults
from tests.task_types.collections.models import Number


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Number.objects.order_by("note"), "has an order_by()"),
        (lambda: Number.objects.order_by("?"), "has an order_by()"),
        (lambda: Number.objects.extra(order_by=["note"]), "has an order_by()"),
        (lambda: Number.objects.all()[:10], "is a slice"),
        (lambda: Number.objects.all()[5:], "is a slice"),
        (Number.objects.reverse, "has a reverse()"),
        (Number.objects.distinct, "is distinct()"),
        (lambda: Number.objects.values("note"), "has values()"),
        (Number.objects.values, "has values()"),
        (lambda: Number.objects.values_list("pk", flat=True), "has values()"),
        (lambda: Number.objects.union(Number.objects.all()), "is a union()"),
        (Number.objects.select_for_update, "set lock_rows"),
        (lambda: Number.objects.using("other"), "the database 'other'"),
        (lambda: Number.objects, "return a QuerySet"),
        (list, "return a QuerySet"),
        (lambda: None, "return a QuerySet"),
        (lambda: Number, "return a QuerySet"),
    ],
)
def test_what_cannot_be_paged_is_refused(make: Any, words: str) -> None:
    assert any(words in fault for fault in find_faults(make()))


def test_all_faults_are_reported_at_once() -> None:
    assert len(find_faults(Number.objects.order_by("note").distinct())) == 2


@pytest.mark.parametrize(
    "make",
    [
        Number.objects.all,
        lambda: Number.objects.filter(note="").exclude(visits=1).only("note").using("default"),
        Number.objects.none,
        lambda: Number.objects.order_by("note").order_by(),
    ],
)
def test_a_plain_collection_is_accepted(make: Any) -> None:
    assert find_faults(make()) == []


def test_a_model_of_another_database_is_refused() -> None:
    class Elsewhere:
        def db_for_write(self, model: Any, **hints: Any) -> str | None:
            return "other" if model is Number else None

    with override_settings(DATABASE_ROUTERS=[Elsewhere()]):
        [fault] = find_faults(Number.objects.all())
        assert "the database 'other'" in fault
        assert find_faults(Number.objects.using("default")) == []

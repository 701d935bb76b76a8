"""The private parts of Django's QuerySet are as tasks_app/task_types/collections/django_internals.py expects."""

from __future__ import annotations

from tasks_app.task_types.collections.django_internals import get_named_database, yields_models
from tests.task_types.collections.models import Number


def test_a_queryset_of_models_is_told_from_values() -> None:
    assert yields_models(Number.objects.filter(pk=1).only("note"))
    for other in (Number.objects.values(), Number.objects.values_list(), Number.objects.values_list("pk", flat=True)):
        assert not yields_models(other)


def test_a_named_database_is_told_from_the_routers_choice() -> None:
    assert get_named_database(Number.objects.all()) is None
    assert get_named_database(Number.objects.using("other")) == "other"

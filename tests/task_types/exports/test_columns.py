"""tasks_app/task_types/exports/columns.py: which names may be columns of an export."""

import pytest
from django.db.models import Count, F

from catalog.models import OrderItem, Product, User
from tasks_app.task_types.exports.columns import find_column_faults, list_columns


def test_without_columns_all_of_the_model_are_exported() -> None:
    assert list_columns(Product.objects.all(), ())[:2] == ("id", "task_id")
    assert list_columns(Product.objects.all(), ("pk", "sku")) == ("id", "sku")


@pytest.mark.parametrize("columns", [(), ("pk", "sku"), ("id", "user", "user_id", "user__email"), ("no_such_name",)])
def test_columns_of_the_row_and_of_one_related_row_are_right(columns: tuple[str, ...]) -> None:
    assert find_column_faults(OrderItem.objects.all(), columns) == []


def test_an_annotation_may_count_many_rows() -> None:
    assert find_column_faults(User.objects.annotate(items=Count("order_items")), ("id", "items")) == []
    assert find_column_faults(User.objects.annotate(order_items__id=F("id")), ("order_items__id",)) == []


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        (("id", "order_items__id"), "order_items"),
        (("id", "order_items__product__sku"), "order_items"),
        (("id", "id"), "twice"),
        ("email", "('email',)"),
    ],
)
def test_other_columns_are_refused_by_name(columns: tuple[str, ...], named: str) -> None:
    [fault] = find_column_faults(User.objects.all(), columns)
    assert named in fault

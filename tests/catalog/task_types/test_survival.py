"""Every task type of the catalog survives crashes before and after each of its commits."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest

from catalog.models import ArchivedOrderItem, OrderItem, Product, User
from tasks_app.task_types import list_task_types
from tasks_app.testing import TaskResult, make_csv, make_rows
from tests.catalog.conftest import upload
from tests.catalog.task_types.test_deduplicate_users import COPIES, copy_users

Check = Callable[..., TaskResult]
AHEAD = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)


def check_upload(check: Check) -> TaskResult:
    # A crash before the first commit loses the reserved ids, and the next try reserves others.
    ids = ("id", "user_id", "product_id")
    return check("upload", {"numRecords": 8}, models=[User, Product, OrderItem], ignore=ids)


def check_purge(check: Check) -> TaskResult:
    return check("purge", {"taskId": upload(records=3)})


def check_normalise_user_phones(check: Check) -> TaskResult:
    make_rows(User, 8, phone=lambda number: f"0 30 123 456 {number}")
    return check("normalise_user_phones", {"countryCode": 49})


def check_prune_order_items(check: Check) -> TaskResult:
    upload(records=8)
    return check("prune_order_items", {"orderedBefore": AHEAD}, models=[OrderItem, ArchivedOrderItem, User, Product])


def check_deduplicate_users(check: Check) -> TaskResult:
    upload(records=4)
    copy_users(list(User.objects.order_by("pk")), by=COPIES)
    return check("deduplicate_users", models=[User, Product, OrderItem])


def check_import_products(check: Check) -> TaskResult:
    content = make_csv(Product, ["sku", "name", "category", "price", "stock"], 8) + b"sku 9,too few fields\n"
    params = {"file": content}
    return check("import_products", params, models=[Product], ignore=["id", "created_at"], max_failures=1)


def check_export_order_items(check: Check) -> TaskResult:
    upload(records=8)
    return check("export_order_items")


CHECKS: dict[str, tuple[Callable[[Check], TaskResult], dict[str, int]]] = {
    "upload": (check_upload, {"users": 8, "products": 8, "order_items": 8}),
    "purge": (check_purge, {"deleted_order_items": 3, "deleted_products": 3, "deleted_users": 3}),
    "normalise_user_phones": (check_normalise_user_phones, {"normalised": 8, "unchanged": 0, "unreadable": 0}),
    "prune_order_items": (check_prune_order_items, {"archived_order_items": 8, "deleted_order_items": 8}),
    "deduplicate_users": (check_deduplicate_users, {"kept_users": 4, "deleted_users": 4, "moved_order_items": 2}),
    "import_products": (check_import_products, {"products": 8}),
    "export_order_items": (check_export_order_items, {"rows": 8}),
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_type_survives_crashes(name: str, assert_survives_crashes: Check) -> None:
    check, counts = CHECKS[name]
    result = check(assert_survives_crashes)
    assert (result.status, dict(result.counts)) == ("finished", counts)


def test_no_type_of_the_catalog_is_left_out() -> None:
    known: set[Any] = {each.name for each in list_task_types() if type(each).__module__.startswith("catalog.")}
    assert known == CHECKS.keys()

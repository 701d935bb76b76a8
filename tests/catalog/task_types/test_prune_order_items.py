"""The task type `prune_order_items` moves old order items to the archive: each is in exactly one of the two tables."""

from typing import Any

from catalog.models import ArchivedOrderItem, OrderItem, Product, User
from tasks_app.domain.callers import COMMAND_LINE
from tasks_app.services import start_tasks
from tests.catalog.conftest import upload
from tests.support.engine import Worker, _database, record  # noqa: F401 (fixture)


def contents(model: Any) -> dict[int, tuple[Any, ...]]:
    """Return the columns of an order item by id."""
    names = [field.attname for field in OrderItem._meta.concrete_fields]
    return {row[0]: row for row in model.objects.values_list("id", *names)}


def test_old_order_items_move_with_all_their_columns_and_nothing_else_changes() -> None:
    upload(records=200)
    before = contents(OrderItem)
    middle = sorted(OrderItem.objects.values_list("ordered_at", flat=True))[100]
    old = set(OrderItem.objects.filter(ordered_at__lt=middle).values_list("id", flat=True))
    params = {"orderedBefore": middle.isoformat()}
    task_id = start_tasks.start_task(
        task=start_tasks.NewTask(name="prune_order_items", params=params), caller=COMMAND_LINE
    ).snapshot.id
    Worker().run()

    assert old
    assert contents(ArchivedOrderItem) == {key: before[key] for key in old}
    assert contents(OrderItem) == {key: row for key, row in before.items() if key not in old}
    assert User.objects.count() == Product.objects.count() == 200
    seen = record(task_id)
    assert (seen.status, seen.done, seen.total) == ("finished", len(old), len(old))
    assert seen.counts == {"archived_order_items": len(old), "deleted_order_items": len(old)}

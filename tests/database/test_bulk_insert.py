"""The faster bulk_create writes the same rows as Django's own."""

import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.test.utils import CaptureQueriesContext

from catalog.models import Product, User

TEXTS = (
    "plain",
    "O'Hara",
    'say "hi"',
    "back\\slash",
    "%s and %(x)s",
    "line\nbreak\ttab",
    "ñandú 🦤",
    "\\N",
    "; --",
    "",
)
TASK_ID = uuid.UUID("01890000-0000-7000-8000-00000000002a")

pytestmark = pytest.mark.django_db


def users(first_id: int) -> list[User]:
    return [
        User(
            id=first_id + number,
            task_id=TASK_ID,
            position=number,
            first_name=text,
            last_name=text,
            email="a@example.com",
            phone=str(number),
            city=text,
            birth_date=date(1900 + number, 2, 28),
            created_at=datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=timezone(timedelta(hours=-number))),
        )
        for number, text in enumerate(TEXTS)
    ]


def without_id(rows: "models.QuerySet[User]") -> list[tuple[object, ...]]:
    return [row[1:] for row in rows.order_by("id").values_list()]


def test_the_rows_are_those_of_django_s_bulk_create() -> None:
    models.QuerySet[User](User).bulk_create(users(1))

    User.objects.bulk_create(users(101))

    assert without_id(User.objects.filter(id__gt=100)) == without_id(User.objects.filter(id__lte=100))
    assert [user.first_name for user in User.objects.filter(id__gt=100).order_by("id")] == list(TEXTS)


def test_decimals_keep_every_cent() -> None:
    prices = [Decimal("0.01"), Decimal("99999999.99"), Decimal("10"), Decimal("12.50")]
    Product.objects.bulk_create(
        Product(
            id=n, task_id=TASK_ID, position=n, sku="s", name="n", category="c", price=price, stock=0,
            created_at=datetime(2024, 1, 1, tzinfo=UTC),
        )
        for n, price in enumerate(prices, start=1)
    )  # fmt: skip

    assert list(Product.objects.order_by("id").values_list("price", flat=True)) == prices


def test_a_batch_is_one_statement() -> None:
    with CaptureQueriesContext(connection) as queries:
        User.objects.bulk_create(users(1), batch_size=4)

    inserts = [query["sql"] for query in queries if "INSERT INTO" in query["sql"]]
    assert len(inserts) == 3
    assert not any("RETURNING" in sql for sql in inserts)


def test_instances_are_saved_ones_afterwards() -> None:
    made = User.objects.bulk_create(users(1))

    assert not any(user._state.adding for user in made)


def test_a_key_that_exists_is_an_error() -> None:
    User.objects.bulk_create(users(1))

    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.bulk_create(users(5))


def test_ignore_conflicts_still_works() -> None:
    User.objects.bulk_create(users(1)[:5])

    User.objects.bulk_create(users(1), ignore_conflicts=True)

    assert User.objects.count() == len(TEXTS)

"""A small, fixed set of rows for trying things out: the same ids and values in every database."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

from django.db import transaction

from catalog.models import MODELS, OrderItem, Product, User

CONTEXT_ID: Final = uuid.UUID(
    "00000000-0000-7000-8000-000000000001"
)  # the task_id of these rows, so that `purge` can delete them
AT: Final = datetime(2024, 7, 1, 12, tzinfo=UTC)

USERS = (
    ("Ada", "Lovelace", "London", date(1815, 12, 10)),
    ("Alan", "Turing", "Wilmslow", date(1912, 6, 23)),
    ("Cecilia", "Berdichevsky", "Buenos Aires", date(1925, 3, 30)),
    ("Grace", "Hopper", "Arlington", date(1906, 12, 9)),
    ("Manuel", "Sadosky", "Buenos Aires", date(1914, 4, 13)),
)
PRODUCTS = (
    ("Punched cards, box of 2000", "office", Decimal("18.50"), 120),
    ("Brass gear wheel", "tools", Decimal("42.00"), 36),
    ("Vacuum tube", "tools", Decimal("7.25"), 400),
    ("Desk lamp", "home", Decimal("59.90"), 15),
)
ORDER_ITEMS = ((1, 2, 3), (1, 1, 1), (2, 3, 12), (3, 1, 2), (3, 4, 1), (4, 3, 6), (5, 2, 1), (5, 4, 2))
"""User, product, quantity; users and products by their number from 1."""


def make_rows() -> tuple[list[User], list[Product], list[OrderItem]]:
    """Return the rows, unsaved: parents first."""
    users = [
        User(
            id=number,
            task_id=CONTEXT_ID,
            position=number - 1,
            first_name=first_name,
            last_name=last_name,
            email=f"{first_name}.{last_name}@example.com".lower(),
            phone=f"+1 555 010 {number:04}",
            city=city,
            birth_date=birth_date,
            created_at=AT,
        )
        for number, (first_name, last_name, city, birth_date) in enumerate(USERS, start=1)
    ]
    products = [
        Product(
            id=number,
            task_id=CONTEXT_ID,
            position=number - 1,
            sku=f"CTX-{number:04}",
            name=name,
            category=category,
            price=price,
            stock=stock,
            created_at=AT,
        )
        for number, (name, category, price, stock) in enumerate(PRODUCTS, start=1)
    ]
    order_items = [
        OrderItem(
            id=number,
            task_id=CONTEXT_ID,
            position=number - 1,
            user_id=user,
            product_id=product,
            quantity=quantity,
            unit_price=products[product - 1].price,
            total=products[product - 1].price * quantity,
            ordered_at=AT,
        )
        for number, (user, product, quantity) in enumerate(ORDER_ITEMS, start=1)
    ]
    return users, products, order_items


def load_test_context() -> dict[str, int]:
    """Insert the missing rows; return their number by table."""
    users, products, order_items = make_rows()
    with transaction.atomic():
        before = {model._meta.db_table: model.objects.filter(task_id=CONTEXT_ID).count() for model in MODELS}
        User.objects.bulk_create(users, ignore_conflicts=True)
        Product.objects.bulk_create(products, ignore_conflicts=True)
        OrderItem.objects.bulk_create(order_items, ignore_conflicts=True)
        return {
            model._meta.db_table: model.objects.filter(task_id=CONTEXT_ID).count() - before[model._meta.db_table]
            for model in MODELS
        }

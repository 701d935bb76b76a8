"""The application `gate_shop` in this process: its migrations run for each test, and its tables are gone after it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection

from tasks_app.engine.interruption import Interruption
from tasks_app.task_types import register, unregister
from tests.support.engine import Worker, _database, longtasks  # noqa: F401 (fixtures)

LABEL = "gate_shop"
LARGE, SMALL = 20, 10  # rows; the migrations run 10 at most themselves
Migrate = Callable[..., None]


@pytest.fixture
def migrate(_database: None) -> Generator[Migrate, None, None]:  # noqa: F811
    """`migrate("0002")` migrates the application; its products are in the table that the migrations make."""
    from tests.migration_gates.shop import models
    from tests.migration_gates.shop.apps import GateShopConfig
    from tests.migration_gates.shop.task_types import FillSlugs

    config = GateShopConfig.create("tests.migration_gates.shop.apps.GateShopConfig")
    config.apps, config.models, config.models_module = apps, apps.all_models[LABEL], models
    apps.app_configs[LABEL] = config
    apps.clear_cache()
    register(FillSlugs)

    def run(to: str, **options: Any) -> None:
        call_command("migrate", LABEL, to, verbosity=0, interactive=False, **options)

    run("0001")
    yield run
    run("zero")
    unregister(FillSlugs.name)
    del apps.app_configs[LABEL]
    apps.clear_cache()
    ContentType.objects.filter(app_label=LABEL).delete()


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch, migrate: Migrate) -> None:
    from tests.migration_gates.shop.task_types import FillSlugs

    monkeypatch.setattr(FillSlugs, "first_limit", 5)
    monkeypatch.setattr(FillSlugs, "max_limit", 5)


def refuse(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the back-fill raise for the product of this name; "": for none."""
    from tests.migration_gates.shop.task_types import FillSlugs

    monkeypatch.setattr(FillSlugs, "refused", name)


def run_workers() -> None:
    while Worker().run():
        pass


def run_one_chunk() -> None:
    worker = Worker()
    worker.interruption = Interruption.PREEMPT
    worker.run()


def filled(number: int) -> list[tuple[Any, ...]]:
    """Return what `read_slugs` returns when each product was filled once."""
    return [(f"n{place}", f"p-n{place}", 1) for place in range(number)]


def insert_products(number: int, *, first: int = 0) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO gate_shop_product (name) VALUES (%s)", [(f"n{first + place}",) for place in range(number)]
        )


def read_slugs() -> list[tuple[Any, ...]]:
    """Return (name, slug, visits) of all products."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, slug, visits FROM gate_shop_product ORDER BY id")
        return list(cursor.fetchall())


def is_nullable() -> bool:
    with connection.cursor() as cursor:
        columns = connection.introspection.get_table_description(cursor, "gate_shop_product")
    return bool(next(column for column in columns if column.name == "slug").null_ok)

"""The migrations that docs/migrations.md shows are those that these tests run."""

from __future__ import annotations

import importlib
import re
from typing import Any

from django.db import migrations, models

from settings.env import ROOT

MODULES = ("0002_product_slug", "0003_product_slug_required")


def describe(operation: Any) -> tuple[Any, ...]:
    """Return an operation as text, without the bound and the params, which the tests need."""
    name, args, kwargs = operation.deconstruct()
    args = args[:1] if name in ("StartTask", "RequireTask") else args
    values = [value.deconstruct()[1:] if isinstance(value, models.Field) else value for value in args]
    values += [
        value.deconstruct()[1:] if isinstance(value, models.Field) else value
        for key, value in kwargs.items()
        if key != "inline_rows"
    ]
    return (name, repr(values))


def test_the_document_shows_the_migrations_that_are_tested() -> None:
    text = (ROOT / "docs" / "migrations.md").read_text()
    shown: list[Any] = []
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if "class Migration" in block:
            names: dict[str, Any] = {"migrations": migrations, "models": models}
            exec(block, names)  # noqa: S102 (the document's own block)
            shown += names["Migration"].operations
    run = [
        operation
        for name in MODULES
        for operation in importlib.import_module(f"tests.migration_gates.shop.migrations.{name}").Migration.operations
    ]
    assert [describe(operation) for operation in shown] == [describe(operation) for operation in run]
    assert len(shown) == 4

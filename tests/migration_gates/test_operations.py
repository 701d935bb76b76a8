"""The operations as Django sees them: `sqlmigrate`, `--plan`, squashing, other databases, and wrong declarations."""

from __future__ import annotations

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations import Migration
from django.db.migrations.optimizer import MigrationOptimizer
from django.db.migrations.writer import MigrationWriter

from tasks_app.migration_gates import GateError, RequireTask, StartTask
from tasks_app.models import MigrationTask
from tests.migration_gates.conftest import LARGE, Migrate, insert_products
from tests.support.engine import waiting


def test_sqlmigrate_and_plan_start_nothing(migrate: Migrate) -> None:
    insert_products(LARGE)
    said = io.StringIO()
    for name in ("0002", "0003"):
        call_command("sqlmigrate", "gate_shop", name, stdout=said)
    call_command("migrate", "gate_shop", "0003", plan=True, verbosity=1, stdout=said)
    assert "-- Start the task fill-slugs" in said.getvalue()
    assert "Require that the task fill-slugs has finished" in said.getvalue()
    assert (waiting(), MigrationTask.objects.count()) == ([], 0)


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        (lambda: StartTask("fill-slags"), "The task 'fill-slags' of this migration cannot be started"),
        (lambda: RequireTask("fill-slugs", {"speed": 1}), "The task 'fill-slugs' of this migration cannot be started"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(migrate: Migrate, operation: Callable[[], Any], words: str) -> None:
    with connection.schema_editor() as editor, pytest.raises(GateError, match=words):
        operation().database_forwards("gate_shop", editor, None, None)


def test_a_table_without_the_columns_of_the_installed_code_is_named(migrate: Migrate) -> None:
    insert_products(1)
    words = r"runs with the models of the installed code, .* and that failed: .*slug"
    with connection.schema_editor() as editor, pytest.raises(GateError, match=words):
        StartTask("fill-slugs").database_forwards("gate_shop", editor, None, None)


def test_a_database_without_tasks_and_a_missing_table_of_gates(
    migrate: Migrate, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_products(LARGE)
    other = SimpleNamespace(connection=SimpleNamespace(alias="archive"), collect_sql=False)
    StartTask("fill-slugs").database_forwards("gate_shop", other, None, None)
    RequireTask("fill-slugs").database_forwards("gate_shop", other, None, None)

    with connection.schema_editor() as editor, monkeypatch.context() as patch:
        patch.setattr(MigrationTask._meta, "db_table", "not_yet")
        with pytest.raises(GateError, match=r'add \("tasks_app", "0017_migration_tasks"\) to the dependencies'):
            RequireTask("fill-slugs").database_forwards("gate_shop", editor, None, None)


def test_a_migration_with_gates_can_be_written_and_squashed() -> None:
    steps = [StartTask("fill-slugs", {"prefix": "p-"}, inline_rows=7), RequireTask("fill-slugs", elidable=True)]
    written = MigrationWriter(
        type("Migration", (Migration,), {"operations": steps})("0004_gates", "gate_shop")
    ).as_string()
    read: dict[str, Any] = {}
    exec(written, read)  # noqa: S102 (the migration that Django has written)
    start, require = read["Migration"].operations
    assert (start.name, start.params, start.inline_rows, start.elidable) == ("fill-slugs", {"prefix": "p-"}, 7, False)
    assert (type(require), require.params, require.elidable) == (RequireTask, {}, True)
    assert [step.migration_name_fragment for step in steps] == ["start_fill_slugs", "require_fill_slugs"]
    assert [step.name for step in MigrationOptimizer().optimize(steps, "gate_shop")] == ["fill-slugs"]


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("",), {}, TypeError),
        ((None,), {}, TypeError),
        (("fill-slugs", ["p"]), {}, TypeError),
        (("fill-slugs",), {"inline_rows": -1}, ValueError),
        (("fill-slugs",), {"inline_rows": True}, ValueError),
    ],
)
def test_arguments_are_checked_when_the_migration_is_loaded(
    arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        RequireTask(*arguments, **options)

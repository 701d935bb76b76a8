"""Migrations run while the previous version works: it reads and writes the new tables with its own models."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import DatabaseError, connection, models, transaction
from django.db.migrations import operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.migration import Migration

from tests.operations.migration_rules import MARK, find_faults

APPS = ("tasks_app", "catalog")
# Older than the rule: for the migration 0003_shards the workers must be stopped.
LAST_BEFORE_THE_RULE = {"tasks_app": "0006_list_indexes", "catalog": "0001_initial"}
NOT_BESIDE = {
    ("tasks_app", "0001_initial", "TaskCheckpoint"),
    ("tasks_app", "0002_audit_and_minutes", "TaskCheckpoint"),
}


def list_migrations(app: str) -> list[Migration]:
    """Return an app's migrations, oldest first."""
    loader = MigrationLoader(None)
    return [loader.disk_migrations[key] for key in sorted(loader.disk_migrations) if key[0] == app]


def list_states() -> list[tuple[str, str]]:
    """Return every migration after which an app's version may still run with the newest tables."""
    return [(app, migration.name) for app in APPS for migration in list_migrations(app)]


@pytest.mark.parametrize("app", APPS)
def test_new_migrations_leave_the_previous_version_what_it_needs(app: str) -> None:
    faults = [
        fault
        for migration in list_migrations(app)
        if migration.name > LAST_BEFORE_THE_RULE[app]
        for fault in find_faults(migration)
    ]
    assert faults == []


@pytest.mark.django_db
@pytest.mark.parametrize(("app", "name"), list_states())
def test_older_models_read_and_write_the_newest_tables(app: str, name: str) -> None:
    old = MigrationLoader(connection).project_state((app, name)).apps
    refused = []
    for model in old.get_app_config(app).get_models():
        try:
            with transaction.atomic():
                use(old, model)
        except DatabaseError as error:
            refused.append((app, name, model.__name__))
            if refused[-1] not in NOT_BESIDE:
                raise AssertionError(f"version {app}.{name} cannot use {model.__name__}: {error}") from error
    assert set(refused) == {each for each in NOT_BESIDE if each[:2] == (app, name)}


def use(old: Apps, model: type[models.Model]) -> None:
    """Insert, read, update and delete a row as a version with this state of the model does."""
    row = make_row(model)
    found = model._default_manager.get(pk=row.pk)
    found.save()
    assert model._default_manager.filter(pk=row.pk).delete()[0] >= 1


def make_row(model: type[models.Model]) -> models.Model:
    """Insert a row with only the fields that have no default."""
    values = {
        field.name: make_value(field)
        for field in model._meta.concrete_fields
        if not (field.has_default() or field.null or isinstance(field, models.AutoField))
    }
    return model._default_manager.create(**values)


def make_value(field: Any) -> Any:
    """Return a valid value for a field."""
    if isinstance(field, models.ForeignKey):
        return make_row(field.related_model)
    for kind, value in (
        (models.DateTimeField, datetime(2024, 1, 1, tzinfo=UTC)),
        (models.DateField, date(2024, 1, 1)),
        (models.UUIDField, uuid.uuid4()),
        (models.BooleanField, False),
        (models.DecimalField, Decimal(1)),
        (models.IntegerField, 7),
        (models.BinaryField, b"b"),
        (models.JSONField, {}),
    ):
        if isinstance(field, kind):
            return value
    return (field.choices[0][0] if field.choices else "a")[: field.max_length]


def make_migration(*steps: Any, **attributes: Any) -> Migration:
    kind = type("Migration", (Migration,), {"operations": list(steps), **attributes})
    return kind("0007_planted", "tasks_app")


@pytest.mark.parametrize(
    "step",
    [
        operations.AddField("TaskRecord", "planted", models.CharField(max_length=8, default="")),
        operations.AddField("TaskRecord", "planted", models.IntegerField()),
        operations.RemoveField("TaskRecord", "done"),
        operations.RenameField("TaskRecord", "done", "finished"),
        operations.AlterField("TaskRecord", "error", models.CharField(max_length=8)),
        operations.DeleteModel("TaskRecord"),
        operations.RenameModel("TaskRecord", "Record"),
        operations.AlterModelTable("TaskRecord", "records"),
        operations.AddConstraint("TaskRecord", models.UniqueConstraint(fields=["name"], name="planted")),
        operations.RunSQL("ALTER TABLE tasks_app_taskrecord DROP COLUMN done"),
        operations.RunPython(print),
    ],
    ids=lambda step: type(step).__name__,
)
def test_a_migration_that_breaks_the_previous_version_is_refused_by_name(step: Any) -> None:
    [fault] = find_faults(make_migration(step))
    assert fault.startswith("tasks_app.0007_planted: ")
    assert find_faults(make_migration(step, **{MARK: "Nothing since 1.0 names it."})) == []


@pytest.mark.parametrize(
    "step",
    [
        operations.AddField("TaskRecord", "planted", models.CharField(max_length=8, default="", db_default="")),
        operations.AddField("TaskRecord", "planted", models.IntegerField(null=True)),
        operations.AddIndex("TaskRecord", models.Index(fields=["name"], name="planted")),
        operations.RemoveIndex("TaskRecord", "planted"),
        operations.CreateModel("Planted", [("id", models.AutoField(primary_key=True))]),
        operations.AlterModelOptions("TaskRecord", {"verbose_name": "planted"}),
    ],
    ids=lambda step: type(step).__name__,
)
def test_a_migration_that_the_previous_version_does_not_notice_is_accepted(step: Any) -> None:
    assert find_faults(make_migration(step)) == []


def test_a_new_table_may_be_changed_in_its_own_migration() -> None:
    steps = (
        operations.CreateModel("Planted", [("id", models.AutoField(primary_key=True))]),
        operations.AddField("planted", "number", models.IntegerField()),
    )
    assert find_faults(make_migration(*steps)) == []

"""Every text column is declared as identity or as free text; a new one without a declaration fails here."""

from typing import Any

import pytest
from django.apps import apps
from django.db import connection, models

from tasks_app.models.text_fields import FreeTextField, IdentityField, get_identity_collation

APPS = ("tasks_app", "catalog")
# An e-mail address; no query compares it.
OTHER_FREE_TEXT = (models.EmailField,)


def list_fields(kind: type[Any]) -> list[Any]:
    return [
        field
        for app in APPS
        for model in apps.get_app_config(app).get_models()
        for field in model._meta.local_fields
        if isinstance(field, kind)
    ]


def test_each_short_text_is_declared() -> None:
    fields = list_fields(models.CharField)
    assert len(fields) > 40
    undeclared = [
        str(field) for field in fields if not isinstance(field, (IdentityField, FreeTextField, *OTHER_FREE_TEXT))
    ]
    assert undeclared == [], "declare it as IdentityField or FreeTextField (tasks_app.models.text_fields)"


def test_no_index_or_key_uses_free_text() -> None:
    """Free text is in no index, constraint or key; only identity columns are."""
    indexed = {
        f"{model._meta.label}.{name}"
        for app in APPS
        for model in apps.get_app_config(app).get_models()
        for index in (*model._meta.indexes, *model._meta.constraints)
        for name in index.fields  # type: ignore[union-attr]
    }
    free = [*list_fields(models.TextField), *list_fields(FreeTextField), *list_fields(OTHER_FREE_TEXT)]
    for field in free:
        looked_up = [field.unique, field.db_index, field.primary_key, str(field) in indexed, bool(field.choices)]
        assert not any(looked_up), str(field)


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "mysql", reason="SQLite compares bytes")
def test_each_column_has_its_collation() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT CONCAT(table_name, '.', column_name), collation_name FROM information_schema.columns"
            " WHERE table_schema = DATABASE() AND collation_name IS NOT NULL"
        )
        collations = dict(cursor.fetchall())
    wanted = get_identity_collation(connection)
    for field in list_fields(IdentityField):
        assert collations[f"{field.model._meta.db_table}.{field.column}"] == wanted, str(field)
    for field in list_fields(FreeTextField):
        assert collations[f"{field.model._meta.db_table}.{field.column}"] != wanted, str(field)


@pytest.mark.parametrize(
    ("is_mariadb", "collation"), [(True, "utf8mb4_nopad_bin"), (False, "utf8mb4_0900_bin")], ids=["MariaDB", "MySQL"]
)
def test_each_server_has_its_own_name_for_it(is_mariadb: bool, collation: str) -> None:
    class Server:
        vendor = "mysql"
        mysql_is_mariadb = is_mariadb

    assert get_identity_collation(Server()) == collation  # type: ignore[arg-type]

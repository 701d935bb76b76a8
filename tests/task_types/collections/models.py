"""Tables with keys of every kind, and rows that refer to others by CASCADE, PROTECT and RESTRICT.

Owns columns and indexes. `tables` of conftest.py creates them.
"""

from __future__ import annotations

import uuid

from django.db import models

LABEL = "collection_tests"


class Row(models.Model):
    """A row that counts how often it was processed."""

    visits = models.IntegerField(default=0)
    note = models.CharField(max_length=200, default="")

    class Meta:
        abstract = True
        app_label = LABEL


class Number(Row):
    id = models.BigIntegerField(primary_key=True)


class Uid(Row):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)


class Word(Row):
    id = models.CharField(max_length=80, primary_key=True)


class Price(Row):
    id = models.DecimalField(max_digits=15, decimal_places=4, primary_key=True)


class Moment(Row):
    id = models.DateTimeField(primary_key=True)


class Day(Row):
    id = models.DateField(primary_key=True)


class Tenant(Row):
    """Rows with a key of two fields, and with others that cannot be one."""

    tenant = models.IntegerField()
    number = models.CharField(max_length=40)
    created = models.DateTimeField(db_index=True)
    loose = models.IntegerField(default=0)
    maybe = models.IntegerField(null=True, unique=True)
    weight = models.FloatField(unique=True, null=False)

    class Meta(Row.Meta):
        abstract = False
        constraints = [models.UniqueConstraint(fields=["tenant", "number"], name="tenant_number")]


class Parent(Row):
    id = models.BigIntegerField(primary_key=True)


class Child(Row):
    id = models.BigIntegerField(primary_key=True)
    parent = models.ForeignKey(Parent, models.CASCADE, related_name="children")


class Guard(models.Model):
    parent = models.ForeignKey(Parent, models.PROTECT)

    class Meta:
        app_label = LABEL


class Watch(models.Model):
    parent = models.ForeignKey(Parent, models.RESTRICT)

    class Meta:
        app_label = LABEL


class Detail(Row):
    """A row whose primary key is a foreign key."""

    parent = models.OneToOneField(Parent, models.CASCADE, primary_key=True)


class OldChild(Row):
    """The archive of Child."""

    id = models.BigIntegerField(primary_key=True)
    parent_id = models.BigIntegerField()
    archived_at = models.DateTimeField(auto_now_add=True)


class Pair(Row):
    """A row with a composite primary key."""

    pk = models.CompositePrimaryKey("left", "right")
    left = models.IntegerField()
    right = models.UUIDField(default=uuid.uuid4)


class Node(models.Model):
    """A row that refers to another of its table."""

    id = models.BigIntegerField(primary_key=True)
    parent = models.ForeignKey("self", models.CASCADE, null=True)

    class Meta:
        app_label = LABEL


class OldNode(models.Model):
    id = models.BigIntegerField(primary_key=True)
    parent_id = models.BigIntegerField(null=True)

    class Meta:
        app_label = LABEL


class NarrowChild(models.Model):
    """An archive that lacks columns."""

    id = models.BigIntegerField(primary_key=True)

    class Meta:
        app_label = LABEL


MODELS: list[type[models.Model]] = [
    Number, Uid, Word, Price, Moment, Day, Tenant, Parent, Child, Guard, Watch, Detail, OldChild, NarrowChild, Pair,
    Node, OldNode,
]  # fmt: skip

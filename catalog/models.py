"""The tables that tasks fill: users, products and order items. Every row names the task that made it.

Owns columns and indexes. Only tasks and commands insert rows, with ids from `catalog.id_blocks`; the database must not
generate one.
"""

from __future__ import annotations

from typing import Final

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext_lazy as _

from tasks_app.database.bulk_insert import BulkInsertQuerySet
from tasks_app.models.text_fields import FreeTextField, IdentityField


class AssignedIdField(models.BigIntegerField):
    """A bigint primary key that the caller sets, because MySQL returns no generated ids from a bulk insert."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        # SQLite stores a row under its primary key only if the type is exactly "integer"; "bigint" costs a second index.
        return "integer" if connection.vendor == "sqlite" else super().db_type(connection)


class TaskRow(models.Model):
    """The columns of every row: its id, and the record and task that it belongs to."""

    id = AssignedIdField(_("id"), primary_key=True)
    task_id = models.UUIDField(_("task"), help_text=_("The task or run that made the row."))
    position = models.PositiveIntegerField(_("position"), help_text=_("The record within the task, from 0."))

    objects = BulkInsertQuerySet.as_manager()

    class Meta:
        abstract = True


class User(TaskRow):
    """A customer."""

    first_name = FreeTextField(_("first name"), max_length=60)
    last_name = FreeTextField(_("last name"), max_length=60)
    email = models.EmailField(_("e-mail"), max_length=160)
    phone = FreeTextField(_("phone"), max_length=32)
    city = FreeTextField(_("city"), max_length=80)
    birth_date = models.DateField(_("birth date"))
    created_at = models.DateTimeField(_("created"))

    class Meta:
        db_table = "users"
        verbose_name = _("user")
        verbose_name_plural = _("users")
        indexes = [models.Index(fields=["task_id", "position"], name="users_task_position")]

    def __str__(self) -> str:
        return f"{self.first_name} {self.last_name}"


class Product(TaskRow):
    """Something to buy."""

    sku = FreeTextField(_("SKU"), max_length=40)
    name = FreeTextField(_("name"), max_length=120)
    category = FreeTextField(_("category"), max_length=40)
    price = models.DecimalField(_("price"), max_digits=10, decimal_places=2)
    stock = models.PositiveIntegerField(_("stock"))
    created_at = models.DateTimeField(_("created"))

    class Meta:
        db_table = "products"
        verbose_name = _("product")
        verbose_name_plural = _("products")
        indexes = [models.Index(fields=["task_id", "position"], name="products_task_position")]

    def __str__(self) -> str:
        return self.name


class OrderItem(TaskRow):
    """A user's order of a product, with the price at the time of the order."""

    # The database enforces the foreign keys. If Django cascaded or protected, it would load each user of a range
    # before it deletes the range.
    user = models.ForeignKey(User, models.DO_NOTHING, verbose_name=_("user"), related_name="order_items")
    product = models.ForeignKey(Product, models.DO_NOTHING, verbose_name=_("product"), related_name="order_items")
    quantity = models.PositiveSmallIntegerField(_("quantity"))
    unit_price = models.DecimalField(_("unit price"), max_digits=10, decimal_places=2)
    total = models.DecimalField(_("total"), max_digits=12, decimal_places=2)
    ordered_at = models.DateTimeField(_("ordered"))

    class Meta:
        db_table = "order_items"
        verbose_name = _("order item")
        verbose_name_plural = _("order items")
        indexes = [models.Index(fields=["task_id", "position"], name="order_items_task_position")]

    def __str__(self) -> str:
        return f"{self.quantity} × product {self.product_id}"


class ArchivedOrderItem(TaskRow):
    """An order item that was pruned. Its user and its product may be gone."""

    user_id = models.BigIntegerField(_("user"))
    product_id = models.BigIntegerField(_("product"))
    quantity = models.PositiveSmallIntegerField(_("quantity"))
    unit_price = models.DecimalField(_("unit price"), max_digits=10, decimal_places=2)
    total = models.DecimalField(_("total"), max_digits=12, decimal_places=2)
    ordered_at = models.DateTimeField(_("ordered"))
    archived_at = models.DateTimeField(_("archived"), auto_now_add=True)

    class Meta:
        db_table = "archived_order_items"
        verbose_name = _("archived order item")
        verbose_name_plural = _("archived order items")
        indexes = [models.Index(fields=["task_id", "position"], name="archived_task_position")]

    def __str__(self) -> str:
        return f"{self.quantity} × product {self.product_id}"


MODELS: Final[tuple[type[User | Product | OrderItem], ...]] = (User, Product, OrderItem)
"""The tables that tasks fill; parents first."""


class IdBlock(models.Model):
    """The next free id: one row, which `catalog.id_blocks` increases by a block at a time."""

    name = IdentityField(_("name"), max_length=40, primary_key=True)
    next_id = models.BigIntegerField(_("next id"))

    class Meta:
        db_table = "catalog_idblock"
        verbose_name = _("id block")
        verbose_name_plural = _("id blocks")

    def __str__(self) -> str:
        return f"{self.name}: {self.next_id}"

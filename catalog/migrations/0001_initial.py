"""The tables of the catalog and the counter of ids."""

import django.db.models.deletion
from django.db import migrations, models

import catalog.models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="IdBlock",
            fields=[
                ("name", models.CharField(max_length=40, primary_key=True, serialize=False, verbose_name="name")),
                ("next_id", models.BigIntegerField(verbose_name="next id")),
            ],
            options={
                "verbose_name": "id block",
                "verbose_name_plural": "id blocks",
                "db_table": "catalog_idblock",
            },
        ),
        migrations.CreateModel(
            name="Product",
            fields=[
                ("id", catalog.models.AssignedIdField(primary_key=True, serialize=False, verbose_name="id")),
                ("task_id", models.UUIDField(help_text="The task or run that made the row.", verbose_name="task")),
                (
                    "position",
                    models.PositiveIntegerField(
                        help_text="The record within the task, from 0.", verbose_name="position"
                    ),
                ),
                ("sku", models.CharField(max_length=40, verbose_name="SKU")),
                ("name", models.CharField(max_length=120, verbose_name="name")),
                ("category", models.CharField(max_length=40, verbose_name="category")),
                ("price", models.DecimalField(decimal_places=2, max_digits=10, verbose_name="price")),
                ("stock", models.PositiveIntegerField(verbose_name="stock")),
                ("created_at", models.DateTimeField(verbose_name="created")),
            ],
            options={
                "verbose_name": "product",
                "verbose_name_plural": "products",
                "db_table": "products",
                "indexes": [models.Index(fields=["task_id", "position"], name="products_task_position")],
            },
        ),
        migrations.CreateModel(
            name="User",
            fields=[
                ("id", catalog.models.AssignedIdField(primary_key=True, serialize=False, verbose_name="id")),
                ("task_id", models.UUIDField(help_text="The task or run that made the row.", verbose_name="task")),
                (
                    "position",
                    models.PositiveIntegerField(
                        help_text="The record within the task, from 0.", verbose_name="position"
                    ),
                ),
                ("first_name", models.CharField(max_length=60, verbose_name="first name")),
                ("last_name", models.CharField(max_length=60, verbose_name="last name")),
                ("email", models.EmailField(max_length=160, verbose_name="e-mail")),
                ("phone", models.CharField(max_length=32, verbose_name="phone")),
                ("city", models.CharField(max_length=80, verbose_name="city")),
                ("birth_date", models.DateField(verbose_name="birth date")),
                ("created_at", models.DateTimeField(verbose_name="created")),
            ],
            options={
                "verbose_name": "user",
                "verbose_name_plural": "users",
                "db_table": "users",
                "indexes": [models.Index(fields=["task_id", "position"], name="users_task_position")],
            },
        ),
        migrations.CreateModel(
            name="OrderItem",
            fields=[
                ("id", catalog.models.AssignedIdField(primary_key=True, serialize=False, verbose_name="id")),
                ("task_id", models.UUIDField(help_text="The task or run that made the row.", verbose_name="task")),
                (
                    "position",
                    models.PositiveIntegerField(
                        help_text="The record within the task, from 0.", verbose_name="position"
                    ),
                ),
                ("quantity", models.PositiveSmallIntegerField(verbose_name="quantity")),
                ("unit_price", models.DecimalField(decimal_places=2, max_digits=10, verbose_name="unit price")),
                ("total", models.DecimalField(decimal_places=2, max_digits=12, verbose_name="total")),
                ("ordered_at", models.DateTimeField(verbose_name="ordered")),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="order_items",
                        to="catalog.product",
                        verbose_name="product",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="order_items",
                        to="catalog.user",
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "order item",
                "verbose_name_plural": "order items",
                "db_table": "order_items",
                "indexes": [models.Index(fields=["task_id", "position"], name="order_items_task_position")],
            },
        ),
    ]

"""Order items that were pruned are kept in a table of their own."""

from django.db import migrations, models

import catalog.models


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0002_identity_columns"),
    ]

    operations = [
        migrations.CreateModel(
            name="ArchivedOrderItem",
            fields=[
                ("id", catalog.models.AssignedIdField(primary_key=True, serialize=False, verbose_name="id")),
                ("task_id", models.UUIDField(help_text="The task or run that made the row.", verbose_name="task")),
                (
                    "position",
                    models.PositiveIntegerField(
                        help_text="The record within the task, from 0.", verbose_name="position"
                    ),
                ),
                ("user_id", models.BigIntegerField(verbose_name="user")),
                ("product_id", models.BigIntegerField(verbose_name="product")),
                ("quantity", models.PositiveSmallIntegerField(verbose_name="quantity")),
                ("unit_price", models.DecimalField(decimal_places=2, max_digits=10, verbose_name="unit price")),
                ("total", models.DecimalField(decimal_places=2, max_digits=12, verbose_name="total")),
                ("ordered_at", models.DateTimeField(verbose_name="ordered")),
                ("archived_at", models.DateTimeField(auto_now_add=True, verbose_name="archived")),
            ],
            options={
                "verbose_name": "archived order item",
                "verbose_name_plural": "archived order items",
                "db_table": "archived_order_items",
                "indexes": [models.Index(fields=["task_id", "position"], name="archived_task_position")],
            },
        ),
    ]

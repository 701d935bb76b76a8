"""The table of the outbox, and a kind of set-aside items for what it cannot enqueue."""

from django.db import migrations, models

import tasks_app.models.text_fields


class Migration(migrations.Migration):
    why_previous_version_works = (
        "A new choice of a column changes no table; the previous version shows such an item's kind."
    )

    dependencies = [
        ("tasks_app", "0014_failures_retry"),
    ]

    operations = [
        migrations.CreateModel(
            name="OutboxTask",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("snapshot", models.BinaryField()),
            ],
        ),
        migrations.AlterField(
            model_name="setasideitem",
            name="kind",
            field=tasks_app.models.text_fields.IdentityField(
                choices=[
                    ("snapshot", "snapshot"),
                    ("task", "task"),
                    ("webhook", "webhook"),
                    ("total", "total"),
                    ("outbox", "outbox"),
                ],
                max_length=12,
                verbose_name="kind",
            ),
        ),
    ]

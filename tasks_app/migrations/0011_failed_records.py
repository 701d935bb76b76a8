"""The list of failed records, how many of them a task has and may have, and the attempts of its type."""

from django.db import migrations, models

import tasks_app.models.text_fields


class Migration(migrations.Migration):
    dependencies = [
        ("tasks_app", "0010_planned_totals"),
    ]

    operations = [
        migrations.CreateModel(
            name="TaskFailure",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("task_id", models.UUIDField(verbose_name="task")),
                ("checkpoint_id", models.UUIDField()),
                ("position", models.PositiveBigIntegerField(verbose_name="position")),
                ("line", models.PositiveBigIntegerField(null=True, verbose_name="line")),
                ("key", models.CharField(blank=True, default="", max_length=255, verbose_name="key")),
                ("code", tasks_app.models.text_fields.IdentityField(max_length=64, verbose_name="code")),
                ("message", models.TextField(verbose_name="message")),
                ("values_json", models.TextField(default="{}", verbose_name="values")),
                ("values_are_exact", models.BooleanField(default=True)),
                ("failed_at", models.DateTimeField(verbose_name="failed at")),
            ],
            options={
                "verbose_name": "failed record",
                "verbose_name_plural": "failed records",
                "indexes": [models.Index(fields=["task_id", "position", "id"], name="failure_of_task")],
                "constraints": [models.UniqueConstraint(fields=("checkpoint_id", "position"), name="failure_once")],
            },
        ),
        migrations.AddField(
            model_name="taskcheckpoint",
            name="failed_records",
            field=models.PositiveBigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="taskcheckpoint",
            name="max_attempts",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="taskrecord",
            name="failed_records",
            field=models.PositiveBigIntegerField(db_default=0, default=0, verbose_name="failed records"),
        ),
        migrations.AddField(
            model_name="taskrecord",
            name="max_failures",
            field=tasks_app.models.text_fields.IdentityField(
                blank=True, db_default="", default="", max_length=16, verbose_name="failed records allowed"
            ),
        ),
    ]

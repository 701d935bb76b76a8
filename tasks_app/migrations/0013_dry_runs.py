"""Dry runs: which tasks are one, and the first rows that they have changed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tasks_app", "0012_files"),
    ]

    operations = [
        migrations.AddField(
            model_name="taskrecord",
            name="dry_run",
            field=models.BooleanField(db_default=False, default=False, verbose_name="dry run"),
        ),
        migrations.CreateModel(
            name="TaskRowChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("task_id", models.UUIDField()),
                ("checkpoint_id", models.UUIDField()),
                ("position", models.PositiveBigIntegerField()),
                ("line", models.PositiveBigIntegerField(null=True)),
                ("model", models.CharField(blank=True, default="", max_length=150)),
                ("key", models.CharField(blank=True, default="", max_length=255)),
                ("before_json", models.TextField(null=True)),
                ("after_json", models.TextField(null=True)),
                ("values_are_exact", models.BooleanField(default=True)),
            ],
            options={
                "indexes": [models.Index(fields=["task_id", "position", "id"], name="row_change_of_task")],
            },
        ),
    ]

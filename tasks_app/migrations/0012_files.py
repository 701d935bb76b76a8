"""The tables of files, and the result of a task."""

from django.db import migrations, models

import tasks_app.models.text_fields


class Migration(migrations.Migration):
    dependencies = [
        ("tasks_app", "0011_failed_records"),
    ]

    operations = [
        migrations.AddField(
            model_name="taskcheckpoint",
            name="result",
            field=models.JSONField(null=True),
        ),
        migrations.CreateModel(
            name="TaskFile",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                (
                    "kind",
                    tasks_app.models.text_fields.IdentityField(
                        choices=[("upload", "upload"), ("artifact", "artifact"), ("part", "part")], max_length=10
                    ),
                ),
                ("owner", tasks_app.models.text_fields.IdentityField(default="", max_length=64)),
                ("name", tasks_app.models.text_fields.FreeTextField(max_length=255)),
                ("content_type", tasks_app.models.text_fields.FreeTextField(max_length=100)),
                ("size", models.PositiveBigIntegerField(default=0)),
                ("sha256", tasks_app.models.text_fields.IdentityField(default="", max_length=64)),
                ("storage_key", tasks_app.models.text_fields.IdentityField(max_length=200)),
                ("is_complete", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(null=True)),
                ("task_id", models.UUIDField(null=True)),
                ("position", models.PositiveBigIntegerField(default=0)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["expires_at", "id"], name="file_expires"),
                    models.Index(fields=["task_id", "kind", "position"], name="file_task"),
                ],
            },
        ),
        migrations.CreateModel(
            name="TaskFileUse",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("file_id", models.UUIDField()),
                ("task_id", models.UUIDField()),
            ],
            options={
                "indexes": [models.Index(fields=["task_id"], name="file_use_task")],
                "constraints": [models.UniqueConstraint(fields=("file_id", "task_id"), name="file_use_once")],
            },
        ),
    ]

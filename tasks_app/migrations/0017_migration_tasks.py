"""The tasks that migrations have started. Migrations with gates depend on this one."""

from django.db import migrations, models

import tasks_app.models.text_fields


class Migration(migrations.Migration):
    dependencies = [
        ("tasks_app", "0016_start_at"),
    ]

    operations = [
        migrations.CreateModel(
            name="MigrationTask",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("task_id", models.UUIDField(unique=True)),
                ("app_label", tasks_app.models.text_fields.IdentityField(max_length=64)),
                ("name", tasks_app.models.text_fields.IdentityField(max_length=64)),
                ("params_digest", tasks_app.models.text_fields.IdentityField(max_length=64)),
                ("params", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField()),
                ("enqueued_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
            ],
            options={
                "indexes": [models.Index(fields=["name", "id"], name="migration_task_by_name")],
            },
        ),
    ]

"""Queues have names of up to 32 characters, and a task keeps the number that was given as its priority."""

from django.db import migrations, models

import tasks_app.database.column_changes
import tasks_app.models.text_fields


class Migration(migrations.Migration):
    why_previous_version_works = (
        "The column of the queue only becomes longer, and the previous version knows no queue but high and low."
    )

    dependencies = [
        ("tasks_app", "0008_audit_of_operators"),
    ]

    operations = [
        migrations.AddField(
            model_name="taskrecord",
            name="urgency",
            field=models.PositiveSmallIntegerField(null=True, verbose_name="priority"),
        ),
        tasks_app.database.column_changes.AlterFieldsTogether(
            model_name="taskrecord",
            fields=[
                ("priority", tasks_app.models.text_fields.IdentityField(max_length=32, verbose_name="queue")),
            ],
        ),
    ]

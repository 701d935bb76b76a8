"""A task may have a requested start. The audit has entries of its changes: there only the choices change."""

from django.db import migrations, models

import tasks_app.models.text_fields


class Migration(migrations.Migration):
    why_previous_version_works = (
        "The new column is nullable, and the column of actions stays as it is: the previous version shows the new action "
        "by its code."
    )

    dependencies = [
        ("tasks_app", "0015_outbox"),
    ]

    operations = [
        migrations.AddField(
            model_name="taskrecord",
            name="start_at",
            field=models.DateTimeField(null=True, verbose_name="start at"),
        ),
        migrations.AlterField(
            model_name="auditentry",
            name="action",
            field=tasks_app.models.text_fields.IdentityField(
                choices=[
                    ("start", "start"),
                    ("cancel", "cancel"),
                    ("retry", "retry"),
                    ("priority", "change priority"),
                    ("reschedule", "change start"),
                    ("pause", "pause queue"),
                    ("resume", "resume queue"),
                    ("try_again", "try a set-aside item again"),
                    ("drop", "drop a set-aside item"),
                    ("prune", "prune ended tasks"),
                    ("create_token", "create token"),
                    ("revoke_token", "revoke token"),
                    ("staff", "change staff"),
                ],
                max_length=12,
                verbose_name="what",
            ),
        ),
    ]

"""The audit has entries of tokens, staff and pruning. Only the choices change, so no statement runs."""

from django.db import migrations

import tasks_app.models.text_fields


class Migration(migrations.Migration):
    why_previous_version_works = "The column stays as it is: the previous version shows the new actions by their codes."

    dependencies = [
        ("tasks_app", "0007_identity_columns"),
    ]

    operations = [
        migrations.AlterField(
            model_name="auditentry",
            name="action",
            field=tasks_app.models.text_fields.IdentityField(
                choices=[
                    ("start", "start"),
                    ("cancel", "cancel"),
                    ("retry", "retry"),
                    ("priority", "change priority"),
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

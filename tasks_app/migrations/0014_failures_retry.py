"""A task knows which of its failures were given to another task, so that none is retried twice."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tasks_app", "0013_dry_runs"),
    ]

    operations = [
        migrations.AddField(
            model_name="taskcheckpoint",
            name="failures_retry",
            field=models.JSONField(null=True),
        ),
    ]

"""A task that its worker has planned stores its total, and how many of its shards are unfinished."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tasks_app", "0009_queues_by_name"),
    ]

    operations = [
        migrations.AddField(
            model_name="taskcheckpoint",
            name="total",
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="taskcheckpoint",
            name="total_is_estimate",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="taskcheckpoint",
            name="open_shards",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="taskrecord",
            name="total_is_estimate",
            field=models.BooleanField(db_default=False, default=False, verbose_name="total is an estimate"),
        ),
    ]

"""Wider indexes for the lists. The new ones come first: the lists of the old version never lack theirs."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tasks_app", "0005_set_aside_items"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="taskrecord",
            index=models.Index(fields=["owner", "id", "status", "name", "priority"], name="record_by_owner"),
        ),
        migrations.AddIndex(
            model_name="taskrecord",
            index=models.Index(fields=["status", "id", "owner", "name", "priority"], name="record_by_status"),
        ),
        migrations.AddIndex(
            model_name="taskrecord",
            index=models.Index(fields=["name", "id", "owner", "priority"], name="record_by_name"),
        ),
        migrations.AddIndex(
            model_name="taskrecord",
            index=models.Index(fields=["priority", "id", "owner", "name"], name="record_by_priority"),
        ),
        migrations.RemoveIndex(model_name="taskrecord", name="record_status"),
        migrations.RemoveIndex(model_name="taskrecord", name="record_name"),
        migrations.RemoveIndex(model_name="taskrecord", name="record_priority"),
        migrations.RemoveIndex(model_name="taskrecord", name="record_owner"),
    ]

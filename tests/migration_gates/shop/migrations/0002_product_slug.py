"""The slug, which may be NULL until the back-fill has finished."""

from django.db import migrations, models

from tasks_app.migration_gates import StartTask


class Migration(migrations.Migration):
    dependencies = [
        ("gate_shop", "0001_initial"),
        ("tasks_app", "0017_migration_tasks"),
    ]
    operations = [
        migrations.AddField("Product", "slug", models.CharField(max_length=40, null=True)),
        StartTask("fill-slugs", {"prefix": "p-"}, inline_rows=10),
    ]

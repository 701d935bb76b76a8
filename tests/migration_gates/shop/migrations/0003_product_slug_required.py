"""The slug is NOT NULL."""

from django.db import migrations, models

from tasks_app.migration_gates import RequireTask


class Migration(migrations.Migration):
    dependencies = [("gate_shop", "0002_product_slug")]
    operations = [
        RequireTask("fill-slugs", {"prefix": "p-"}, inline_rows=10),
        migrations.AlterField("Product", "slug", models.CharField(max_length=40)),
    ]

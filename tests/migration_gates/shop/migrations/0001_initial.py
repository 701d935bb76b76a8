"""Products without a slug."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Product",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, auto_created=True, verbose_name="ID")),
                ("name", models.CharField(max_length=40)),
            ],
        ),
        migrations.AddField("Product", "visits", models.IntegerField(default=0, db_default=0)),
    ]

"""The name of a block of ids is compared byte by byte."""

from django.db import migrations

import tasks_app.models.text_fields


class Migration(migrations.Migration):
    why_previous_version_works = (
        "Only the collation changes: the previous version finds the same block by the same name."
    )

    dependencies = [
        ("catalog", "0001_initial"),
    ]

    operations = [
        migrations.AlterField(
            model_name="idblock",
            name="name",
            field=tasks_app.models.text_fields.IdentityField(
                max_length=40, primary_key=True, serialize=False, verbose_name="name"
            ),
        ),
    ]

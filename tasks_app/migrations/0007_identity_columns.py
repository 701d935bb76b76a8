"""Whatever identifies something is compared byte by byte: one statement for each table."""

from django.db import migrations

import tasks_app.database.column_changes
import tasks_app.models.text_fields


class Migration(migrations.Migration):
    why_previous_version_works = (
        "Only the collation changes: the previous version compares the same columns byte by byte."
    )

    dependencies = [
        ("tasks_app", "0006_list_indexes"),
    ]

    operations = [
        tasks_app.database.column_changes.AlterFieldsTogether(
            model_name="auditentry",
            fields=[
                (
                    "source",
                    tasks_app.models.text_fields.IdentityField(
                        choices=[("admin", "admin"), ("api", "API"), ("cli", "command line"), ("rq", "RQ's tools")],
                        max_length=8,
                        verbose_name="through",
                    ),
                ),
                (
                    "actor",
                    tasks_app.models.text_fields.IdentityField(
                        blank=True, default="", max_length=64, verbose_name="who"
                    ),
                ),
                (
                    "action",
                    tasks_app.models.text_fields.IdentityField(
                        choices=[
                            ("start", "start"),
                            ("cancel", "cancel"),
                            ("retry", "retry"),
                            ("priority", "change priority"),
                            ("pause", "pause queue"),
                            ("resume", "resume queue"),
                            ("try_again", "try a set-aside item again"),
                            ("drop", "drop a set-aside item"),
                        ],
                        max_length=12,
                        verbose_name="what",
                    ),
                ),
                (
                    "queue",
                    tasks_app.models.text_fields.IdentityField(
                        blank=True, default="", max_length=32, verbose_name="queue"
                    ),
                ),
            ],
        ),
        tasks_app.database.column_changes.AlterFieldsTogether(
            model_name="taskminute",
            fields=[
                ("queue", tasks_app.models.text_fields.IdentityField(max_length=32, verbose_name="queue")),
                ("name", tasks_app.models.text_fields.IdentityField(max_length=64, verbose_name="type")),
            ],
        ),
        tasks_app.database.column_changes.AlterFieldsTogether(
            model_name="setasideitem",
            fields=[
                (
                    "kind",
                    tasks_app.models.text_fields.IdentityField(
                        choices=[
                            ("snapshot", "snapshot"),
                            ("task", "task"),
                            ("webhook", "webhook"),
                            ("total", "total"),
                        ],
                        max_length=12,
                        verbose_name="kind",
                    ),
                ),
                ("key", tasks_app.models.text_fields.IdentityField(max_length=200, verbose_name="key")),
            ],
        ),
        tasks_app.database.column_changes.AlterFieldsTogether(
            model_name="mirrorcursor",
            fields=[
                ("name", tasks_app.models.text_fields.IdentityField(max_length=32, primary_key=True, serialize=False)),
                ("stream_id", tasks_app.models.text_fields.IdentityField(default="0-0", max_length=64)),
            ],
        ),
        tasks_app.database.column_changes.AlterFieldsTogether(
            model_name="queuestate",
            fields=[
                (
                    "name",
                    tasks_app.models.text_fields.IdentityField(
                        max_length=32, primary_key=True, serialize=False, verbose_name="queue"
                    ),
                ),
                (
                    "paused_by",
                    tasks_app.models.text_fields.IdentityField(
                        blank=True, default="", max_length=64, verbose_name="paused by"
                    ),
                ),
            ],
        ),
        tasks_app.database.column_changes.AlterFieldsTogether(
            model_name="taskcheckpoint",
            fields=[
                ("worker", tasks_app.models.text_fields.IdentityField(default="", max_length=120)),
                (
                    "outcome",
                    tasks_app.models.text_fields.IdentityField(
                        choices=[
                            ("", ""),
                            ("queued", "queued"),
                            ("started", "started"),
                            ("scheduled", "scheduled"),
                            ("deferred", "deferred"),
                            ("finished", "finished"),
                            ("failed", "failed"),
                            ("canceled", "canceled"),
                            ("stopped", "stopped"),
                        ],
                        default="",
                        max_length=10,
                    ),
                ),
            ],
        ),
        tasks_app.database.column_changes.AlterFieldsTogether(
            model_name="taskrecord",
            fields=[
                ("name", tasks_app.models.text_fields.IdentityField(max_length=64, verbose_name="type")),
                (
                    "owner",
                    tasks_app.models.text_fields.IdentityField(
                        blank=True, default="", max_length=64, verbose_name="owner"
                    ),
                ),
                (
                    "request_id",
                    tasks_app.models.text_fields.IdentityField(
                        blank=True, default="", max_length=64, verbose_name="request id"
                    ),
                ),
                (
                    "priority",
                    tasks_app.models.text_fields.IdentityField(
                        choices=[("high", "high"), ("low", "low")], max_length=8, verbose_name="priority"
                    ),
                ),
                (
                    "status",
                    tasks_app.models.text_fields.IdentityField(
                        choices=[
                            ("queued", "queued"),
                            ("started", "started"),
                            ("scheduled", "scheduled"),
                            ("deferred", "deferred"),
                            ("finished", "finished"),
                            ("failed", "failed"),
                            ("canceled", "canceled"),
                            ("stopped", "stopped"),
                        ],
                        max_length=12,
                        verbose_name="status",
                    ),
                ),
                (
                    "worker",
                    tasks_app.models.text_fields.IdentityField(
                        blank=True, default="", max_length=120, verbose_name="worker"
                    ),
                ),
            ],
        ),
        tasks_app.database.column_changes.AlterFieldsTogether(
            model_name="taskevent",
            fields=[
                (
                    "status",
                    tasks_app.models.text_fields.IdentityField(
                        choices=[
                            ("queued", "queued"),
                            ("started", "started"),
                            ("scheduled", "scheduled"),
                            ("deferred", "deferred"),
                            ("finished", "finished"),
                            ("failed", "failed"),
                            ("canceled", "canceled"),
                            ("stopped", "stopped"),
                        ],
                        max_length=12,
                        verbose_name="status",
                    ),
                ),
                (
                    "cause",
                    tasks_app.models.text_fields.IdentityField(
                        blank=True, default="", max_length=24, verbose_name="cause"
                    ),
                ),
                (
                    "worker",
                    tasks_app.models.text_fields.IdentityField(
                        blank=True, default="", max_length=120, verbose_name="worker"
                    ),
                ),
                (
                    "actor",
                    tasks_app.models.text_fields.IdentityField(
                        blank=True, default="", max_length=64, verbose_name="actor"
                    ),
                ),
            ],
        ),
        tasks_app.database.column_changes.AlterFieldsTogether(
            model_name="apitoken",
            fields=[
                ("owner", tasks_app.models.text_fields.IdentityField(max_length=64, verbose_name="owner")),
                (
                    "scope",
                    tasks_app.models.text_fields.IdentityField(
                        choices=[("read", "read"), ("write", "read and write"), ("admin", "everything, of all owners")],
                        max_length=8,
                        verbose_name="scope",
                    ),
                ),
                ("digest", tasks_app.models.text_fields.IdentityField(max_length=64, unique=True)),
                ("prefix", tasks_app.models.text_fields.IdentityField(max_length=12, verbose_name="begins with")),
                (
                    "created_by",
                    tasks_app.models.text_fields.IdentityField(
                        blank=True, default="", max_length=64, verbose_name="created by"
                    ),
                ),
            ],
        ),
    ]

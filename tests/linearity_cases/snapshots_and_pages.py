"""Callback addresses, searches, snapshots, and texts that the admin shows."""

import json
from typing import Any

from tasks_app.api import (
    response_serializers,
)
from tasks_app.domain import task_snapshot
from tasks_app.management import arguments
from tasks_app.read_model import task_search
from tasks_app.task_types.field_labels import field_label
from tasks_app.templatetags import task_display
from tasks_app.webhooks import callback_addresses
from tests.linearity import Case, repeat, texts
from tests.linearity_cases.calls import keys, quietly


def _field(name: str) -> Any:
    return type("Field", (), {"field_name": name, "_kwargs": {}})()


def other_cases() -> list[Case]:
    addresses = texts("x", "a.", "a-", "[:", ":1", "/") | {
        "labels": repeat("a.", before="http://", after="/"),
        "hyphens": repeat("a-", before="http://"),
        "a path": repeat("/", before="http://example.com", after="é"),
    }
    snapshot = {"id": "1", "name": "upload", "created_at": "2026-01-01T00:00:00Z"}
    return [
        Case(
            "callback_addresses.is_acceptable",
            lambda text: [callback_addresses.is_acceptable(text, allow_private=each) for each in (True, False)],
            addresses,
            ("tasks_app/webhooks/callback_addresses.py:_ANY", "tasks_app/webhooks/callback_addresses.py:_PUBLIC"),
        ),
        Case(
            "task_search._id_range",
            task_search._id_range,
            texts("x", "0", "-", " "),
        ),
        Case(
            "arguments.duration",
            quietly(arguments.duration, Exception),
            texts("1", "1.", " "),
            ("tasks_app/management/arguments.py:duration",),
        ),
        Case(
            "field_labels.field_label",
            lambda name: field_label(_field(name)),
            texts("x", "aB", "a_"),
            ("tasks_app/task_types/field_labels.py:field_label",),
        ),
        Case(
            "task_snapshot.decode",
            quietly(task_snapshot.decode, ValueError),
            {
                "letters": lambda length: json.dumps({**snapshot, "error": "x" * length}),
                "unknown names": lambda length: json.dumps(snapshot)[:-1] + f",{keys(length)}}}",
                "open": lambda length: "[" * length,
            },
        ),
        Case("response_serializers.summarize_error", response_serializers.summarize_error, texts("x", "\n", " ")),
        Case("task_display.pretty_json", task_display.pretty_json, texts("x", "\x00", "é")),
    ]

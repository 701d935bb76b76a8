"""Bodies of requests: JSON, its limits, its fields, and the problems that refuse it."""

from rest_framework.exceptions import APIException, ValidationError

from tasks_app.api import json_rendering, problem_details, request_serializers
from tasks_app.domain import json_limits, start_times
from tests.linearity import Case, texts
from tests.linearity_cases.calls import keys, quietly


def body_cases() -> list[Case]:
    bodies = {
        "one key twice": lambda length: f'{{{keys(length)},"0":1}}'.encode(),
        "each key twice": lambda length: f"{{{keys(length // 2)},{keys(length // 2)}}}".encode(),
        "objects": lambda length: b"[" + b",".join([b'{"a":{}}'] * (length // 9)) + b"]",
        "integers beyond 64 bits": lambda length: b"[" + b",".join([b"9" * 30] * (length // 31)) + b"]",
        "one long integer": lambda length: b"[" + b"9" * length + b"]",
        "depth": lambda length: b"[" * (length // 2) + b"]" * (length // 2),
        "colons": lambda length: b'{"a":"' + b":" * length + b'"}',
        "escapes": lambda length: b'{"a":"' + b"\\u0000" * (length // 6) + b':"}',
        "open": lambda length: b'{"a":[' * (length // 6),
    }
    fields = {
        "unknown fields": lambda length: {str(number): 1 for number in range(length // 9)},
        "unknown params": lambda length: {
            "name": "upload",
            "params": {str(number): 1 for number in range(length // 9)},
        },
        "long texts": lambda length: {"name": "upload", "description": "x" * length, "priority": "y" * length},
        "a long start": lambda length: {"name": "upload", "startAt": "2026-12-01T" + "0" * length},
        "a long address": lambda length: {"name": "upload", "callbackUrl": "http://" + "a." * (length // 2)},
        "a long name": lambda length: {"name": "x" * length},
        "a long key": lambda length: {"x" * length: 1},
        "a long id": lambda length: {"name": "purge", "params": {"taskId": "0-" * (length // 2)}},
    }
    return [
        Case("json_rendering.read_json", quietly(json_rendering.read_json, APIException), bodies),
        Case(
            "json_limits.measure",
            quietly(lambda data: json_limits.measure(data, levels=20), json_limits.BeyondLimits),
            {
                "numbers": lambda length: [0] * (length // 2),
                "lists": lambda length: [[[]] for _ in range(length // 6)],
                "a wrong one at the end": lambda length: {"x" * (length // 2): [0] * (length // 4) + [2**70]},
            },
        ),
        Case("request_serializers.read_new_task", quietly(request_serializers.read_new_task, APIException), fields),
        Case(
            "request_serializers.read_bulk",
            quietly(request_serializers.read_bulk, APIException),
            {
                "unknown fields": lambda length: {str(number): 1 for number in range(length // 9)},
                "a thousand tasks": lambda length: {"tasks": [{"x" * (length // 1000): 1}] * 1000},
            },
        ),
        Case(
            "start_times.read_start_at",
            quietly(start_times.read_start_at, ValueError),
            texts("0", "T", " ", "-", "2026-12-01T"),
        ),
        Case(
            "problem_details.problem_response",
            lambda detail: problem_details.problem_response(ValidationError(detail), {}),
            {
                "many": lambda length: {str(number): ["wrong"] for number in range(length // 15)},
                "long": lambda length: {"a": ["x" * length]},
                "a long path": lambda length: {"x" * length: {"y": {"z": ["wrong"] * 200}}},
            },
        ),
    ]

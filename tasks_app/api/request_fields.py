"""The fields of request bodies that serve several serializers: params, priority, callback URL.

Owns their validation. Must not know an endpoint.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Final

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tasks_app.conf import settings
from tasks_app.domain import max_failures, priorities, start_times
from tasks_app.webhooks import callback_addresses


@extend_schema_field({"type": "object", "additionalProperties": {}})
class ParamsField(serializers.Field[dict[str, Any], Any, dict[str, Any], Any]):
    """A JSON object, passed unchanged to the task type's serializer. `read_params` limits its depth."""

    default_error_messages: ClassVar[dict[str, Any]] = {"invalid": "Must be an object."}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if type(data) is not dict:
            self.fail("invalid")
        return data  # type: ignore[no-any-return]

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        return value


_PRIORITY_SCHEMA: Final = {
    "oneOf": [
        {"type": "string", "enum": list(priorities.NAMES)},
        {"type": "integer", "minimum": priorities.FIRST, "maximum": priorities.LAST},
    ]
}


@extend_schema_field(_PRIORITY_SCHEMA)
class PriorityField(serializers.Field[Any, Any, Any, Any]):
    """`high`, `low`, or a number from 1 to 10. Digits in a string and booleans are refused; 5.0 is an integer in JSON Schema."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid": "Must be high, low or an integer from {first} to {last}."
    }

    def to_internal_value(self, data: Any) -> str | int:
        if type(data) is float and data.is_integer():
            data = int(data)
        if not (priorities.is_urgency(data) or (type(data) is str and data in priorities.NAMES)):
            self.fail("invalid", first=priorities.FIRST, last=priorities.LAST)
        return data  # type: ignore[no-any-return]

    def to_representation(self, value: str | int) -> str | int:
        return value


class PriorityQueryField(PriorityField):
    """The same as a query parameter, where a number is written as a string of digits."""

    def to_internal_value(self, data: Any) -> str | int:
        return super().to_internal_value(priorities.read_priority(data))


_MAX_FAILURES_SCHEMA: Final = {
    "oneOf": [
        {"type": "integer", "minimum": 0, "maximum": max_failures.MOST},
        {"type": "string", "pattern": f"^{max_failures.SHARE_PATTERN}$"},
    ]
}


@extend_schema_field(_MAX_FAILURES_SCHEMA)
class MaxFailuresField(serializers.Field[Any, Any, Any, Any]):
    """A number of records, or a share of them as text: `"0.5%"`. Validated to the text that a task carries."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid": 'Must be an integer from 0 to {most}, or a share such as "0.5%".'
    }

    def to_internal_value(self, data: Any) -> str:
        if type(data) is float and data.is_integer():
            data = int(data)
        try:
            return max_failures.read_max_failures(data)
        except ValueError:
            self.fail("invalid", most=max_failures.MOST)

    def to_representation(self, value: int | str) -> int | str:
        return value


class StartAtField(serializers.DateTimeField):
    """When a task begins: ISO 8601 with a time zone, read as UTC."""

    def to_internal_value(self, data: Any) -> datetime:
        try:
            return start_times.read_start_at(data if type(data) is str else "")
        except ValueError as error:
            raise serializers.ValidationError(str(error), code="invalid") from None


_CALLBACK_PATTERN: Final = callback_addresses.public_pattern("|".join(map(str, settings.LONGTASKS.webhook_ports)))


@extend_schema_field({"type": "string", "maxLength": callback_addresses.CHARACTERS, "pattern": _CALLBACK_PATTERN})
class CallbackField(serializers.CharField):
    """The URL of a webhook for the task's end. Its host is resolved and checked when the webhook is sent."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "off": "Webhooks are not configured: WEBHOOK_SECRET is empty.",
        "address": "Must be http:// or https:// with the name of a public host, without user and fragment.",
        "port": "The port is {port}. It must be one of {ports}, which WEBHOOK_PORTS names.",
    }

    def to_internal_value(self, data: Any) -> str:
        url: str = super().to_internal_value(data)
        allow_private, ports = settings.LONGTASKS.webhook_allow_private, settings.LONGTASKS.webhook_ports
        if not callback_addresses.is_acceptable(url, allow_private=allow_private):
            self.fail("address")
        target = callback_addresses.parse(url)
        if not callback_addresses.is_allowed_port(target, allow_private=allow_private, ports=ports):
            self.fail("port", port=target.port, ports=", ".join(map(str, ports)))
        if not settings.LONGTASKS.webhook_secret:
            self.fail("off")
        return url

"""The serializers of failed records: the list's query parameters and its entries.

Owns the API's contract for them. Must not read a store.
"""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from tasks_app.api.response_serializers import OutputSerializer
from tasks_app.read_model.failure_list import PAGE_FAILURES
from tasks_app.task_types import ListedFailure

FORMATS: Final = ("json", "csv")


class FailuresQuerySerializer(serializers.Serializer[Any]):
    """The query parameters of GET /tasks/{id}/failures."""

    format = serializers.ChoiceField(
        choices=FORMATS, required=False, help_text="`csv`: all failures as one file; takes precedence over Accept."
    )
    cursor = serializers.RegexField(
        r"^[0-9]{1,19}-[0-9]{1,19}$",
        required=False,
        trim_whitespace=False,
        help_text="From `next` of the page before.",
    )
    limit = serializers.IntegerField(
        required=False, min_value=1, max_value=PAGE_FAILURES, default=100, help_text="Failures on a page of JSON."
    )


class FailureSerializer(OutputSerializer):
    """A record that failed and was left out."""

    position = serializers.IntegerField(min_value=0, help_text="Number of the record in the task, from 0.")
    line = serializers.IntegerField(min_value=0, allow_null=True, help_text="Line of the file, if there is one.")
    key = serializers.CharField(allow_blank=True, help_text="Key of the record; empty if it has none.")
    code = serializers.CharField(help_text="Class of the error.")
    message = serializers.CharField(allow_blank=True)
    values = serializers.DictField(help_text="The record's values by column.")
    valuesAreExact = serializers.BooleanField(
        source="values_are_exact", help_text="false: a value was shortened, changed or left out."
    )
    failedAt = serializers.DateTimeField(source="failed_at")


@extend_schema_serializer(many=False)
class FailurePageSerializer(serializers.Serializer[Any]):
    """A page of failed records, in the order of their positions."""

    failures = FailureSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="The address of the next page; null on the last page.")


_failure = FailureSerializer()


def failure_data(failure: ListedFailure) -> dict[str, Any]:
    """Return one failed record."""
    return _failure.to_representation(failure)

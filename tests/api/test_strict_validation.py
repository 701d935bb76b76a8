"""Reading empty data: the same result as DRF's, also where the reader keeps it."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty

from tasks_app.api.strict_validation import StrictReader


class PlainParams(serializers.Serializer[Any]):
    count = serializers.IntegerField(default=100)
    note = serializers.CharField(required=False)
    shown = serializers.CharField(read_only=True)


def test_empty_data_gives_the_defaults_and_each_caller_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = StrictReader(PlainParams())
    first = reader.read({})
    assert first == {"count": 100}
    monkeypatch.setattr(PlainParams, "run_validation", None)  # not called again
    first["count"] = 1
    assert reader.read({}) == {"count": 100}


class RequiredParams(PlainParams):
    id = serializers.UUIDField()


class CallableParams(serializers.Serializer[Any]):
    count = serializers.IntegerField(default=iter(range(100)).__next__)


class ListParams(serializers.Serializer[Any]):
    items = serializers.ListField(default=[1])


class ValidatedParams(PlainParams):
    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return attrs | {"seen": next(_calls)}


class FieldValidatedParams(PlainParams):
    def validate_count(self, value: int) -> int:
        return value + next(_calls)


class Counting(serializers.IntegerField):
    def run_validation(self, data: Any = empty) -> Any:
        return next(_calls)


class OwnFieldParams(serializers.Serializer[Any]):
    count = Counting(required=False)


def refuse(_: Any) -> None:
    raise ValidationError("refused")


class RefusedParams(PlainParams):
    class Meta:
        validators: tuple[Callable[[Any], None], ...] = (refuse,)


_calls = iter(range(1000))


@pytest.mark.parametrize("serializer", [CallableParams, ValidatedParams, FieldValidatedParams, OwnFieldParams])
def test_what_depends_on_the_moment_is_read_each_time(serializer: type[serializers.Serializer[Any]]) -> None:
    reader = StrictReader(serializer())
    assert reader.read({}) != reader.read({})


def test_a_mutable_default_is_not_kept() -> None:
    reader = StrictReader(ListParams())
    assert reader.read({}) == {"items": [1]}
    assert not reader._has_plain_defaults


@pytest.mark.parametrize("serializer", [RequiredParams, RefusedParams])
def test_what_drf_refuses_is_refused(serializer: type[serializers.Serializer[Any]]) -> None:
    reader = StrictReader(serializer())
    for _ in range(2):
        with pytest.raises(ValidationError):
            reader.read({})

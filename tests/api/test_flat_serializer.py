"""FlatSerializer's loop and DRF's own return and raise the same, for every body."""

from itertools import product
from typing import Any

import pytest
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty

from tasks_app.api.flat_serializer import FlatSerializer
from tasks_app.api.request_serializers import NewTaskSerializer


class Form(FlatSerializer):
    name = serializers.CharField(max_length=5)
    text = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    number = serializers.IntegerField(source="amount", required=False, allow_null=True, min_value=1)


class PlainForm(serializers.Serializer[Any]):
    """The same fields under DRF's own loop."""

    name = serializers.CharField(max_length=5)
    text = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    number = serializers.IntegerField(source="amount", required=False, allow_null=True, min_value=1)


def validate(serializer: serializers.Serializer[Any], data: Any) -> Any:
    try:
        return serializer.run_validation(data)
    except ValidationError as error:
        return error.get_full_details(), repr(error.detail)


VALUES = (empty, None, "", " ", " ab ", "a\0", "long text", 0, 1, 1.5, True, [], {}, {"a": 1})


def test_it_returns_and_raises_what_drf_does() -> None:
    flat, plain = Form(), PlainForm()
    for given in product(VALUES, repeat=3):
        data = {
            name: value for name, value in zip(("name", "text", "number"), given, strict=True) if value is not empty
        } | {"unknown": 1}
        assert validate(flat, data) == validate(plain, data), data
    for data in ([], "x", 1, None, empty):
        assert validate(flat, data) == validate(plain, data), data


class WithMethod(Form):
    def validate_name(self, value: str) -> str:
        return value


class WithValidate(Form):
    def validate(self, attrs: Any) -> Any:
        return attrs


class WithValidators(Form):
    class Meta:
        validators = (print,)


class WithDefault(Form):
    text = serializers.CharField(default="x")


class WithReadOnly(Form):
    text = serializers.CharField(read_only=True)


class WithNestedSource(Form):
    text = serializers.CharField(source="a.b")


class WithWholeSource(Form):
    text = serializers.CharField(source="*")


@pytest.mark.parametrize(
    "serializer_class",
    [WithMethod, WithValidate, WithValidators, WithDefault, WithReadOnly, WithNestedSource, WithWholeSource],
)
def test_a_serializer_that_is_not_flat_is_refused(serializer_class: type[FlatSerializer]) -> None:
    with pytest.raises(TypeError, match=serializer_class.__name__):
        serializer_class().run_validation({"name": "x"})


def test_the_serializer_of_a_start_is_flat() -> None:
    assert validate(NewTaskSerializer(), {"name": "upload"})["name"] == "upload"

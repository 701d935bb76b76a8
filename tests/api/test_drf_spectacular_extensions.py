"""drf-spectacular's private parts are where the schema's extensions expect them."""

import inspect

import pytest
from django.core.exceptions import ImproperlyConfigured
from drf_spectacular.openapi import AutoSchema

from tasks_app.api.openapi import drf_spectacular_extensions


@pytest.mark.parametrize("name", ["_map_serializer", "_map_serializer_field"])
def test_a_renamed_method_of_drf_spectacular_is_noticed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delattr(AutoSchema, name)
    with pytest.raises(ImproperlyConfigured, match=name):
        drf_spectacular_extensions._check()


def test_the_methods_take_the_same_arguments() -> None:
    assert list(inspect.signature(AutoSchema._map_serializer).parameters) == [
        *("self", "serializer", "direction", "bypass_extensions")
    ]
    assert list(inspect.signature(AutoSchema._map_serializer_field).parameters) == [
        *("self", "field", "direction", "bypass_extensions")
    ]

"""The private parts of DRF and drf-spectacular are where the API expects them; the check reports those that are not."""

import importlib

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers
from rest_framework.request import Request

from tasks_app.api import rest_framework_internals
from tasks_app.api.openapi import drf_spectacular_extensions


def test_the_django_request_is_found_inside_drfs() -> None:
    request = HttpRequest()
    assert rest_framework_internals.get_django_request(Request(request)) is request


def test_only_a_declared_label_counts() -> None:
    class Form(serializers.Serializer[object]):
        named = serializers.CharField(label="A name")
        plain = serializers.CharField()

    fields = Form().fields
    assert rest_framework_internals.has_own_label(fields["named"])
    assert not rest_framework_internals.has_own_label(fields["plain"])


def test_the_check_reports_a_field_without_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serializers, "CharField", lambda **_: object())
    with pytest.raises(ImproperlyConfigured, match="rest_framework_internals"):
        rest_framework_internals._check()


@pytest.mark.parametrize("name", ["_map_serializer", "_map_serializer_field"])
def test_the_check_reports_a_renamed_method_of_drf_spectacular(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delattr(AutoSchema, name)
    with pytest.raises(ImproperlyConfigured, match=name):
        drf_spectacular_extensions._check()


def test_both_modules_load_with_the_installed_versions() -> None:
    importlib.import_module("tasks_app.api.rest_framework_internals")
    importlib.import_module("tasks_app.api.openapi.drf_spectacular_extensions")

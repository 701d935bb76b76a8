"""DRF's private parts are where this project expects them; the check at import says so when they are not."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from rest_framework import serializers

from tasks_app.task_types import rest_framework_internals


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

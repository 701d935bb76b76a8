"""The private part of Django REST framework that this project uses: `Field._kwargs`.

DRF has no public accessor for the arguments of a field. Owns the access and the check at import.
tests/task_types/test_rest_framework_internals.py fails when DRF changes.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from rest_framework import serializers


def has_own_label(field: Any) -> bool:
    """Return whether a field was declared with a `label`: DRF's public `label` also holds the one that it generates."""
    return "label" in field._kwargs


def _check() -> None:
    field = serializers.CharField(label="x")
    if "label" not in getattr(field, "_kwargs", ()):
        raise ImproperlyConfigured(f"Django REST framework has changed: adapt {__name__} to this version.")


_check()

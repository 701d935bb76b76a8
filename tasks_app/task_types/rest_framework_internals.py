"""The private parts of Django REST framework that this project uses: `Request._request` and `Field._kwargs`.

DRF has no public accessor for Django's request, nor for the arguments of a field. Owns each access and the check at
import. tests/task_types/test_rest_framework_internals.py fails when DRF changes.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from rest_framework import serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request


def get_django_request(request: Any) -> Any:
    """Return Django's request inside DRF's, which has no public accessor; any other object is returned unchanged.

    Attributes that are set on Django's request reach the middleware.
    """
    return getattr(request, "_request", request)


def has_own_label(field: Any) -> bool:
    """Return whether a field was declared with a `label`: DRF's public `label` also holds the one that it generates."""
    return "label" in field._kwargs


def _check() -> None:
    request = HttpRequest()
    field = serializers.CharField(label="x")
    wrapped = Request(request, negotiator=BaseContentNegotiation())  # or DRF would import the API's
    if getattr(wrapped, "_request", None) is not request or "label" not in getattr(field, "_kwargs", ()):
        raise ImproperlyConfigured(f"Django REST framework has changed: adapt {__name__} to this version.")


_check()

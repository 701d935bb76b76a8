"""The private part of Django that web reads for each response: how the headers are stored.

Through their mapping, which finds each again by its name, they take three times as long. Owns the access and the check at
import. tests/longtasks/http/test_django_internals.py fails when Django changes.
"""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.http.response import HttpResponseBase


def get_stored_headers(response: HttpResponseBase) -> dict[str, tuple[str, str]]:
    """Return a response's headers: name and value by the name in lower case."""
    return response.headers._store  # type: ignore[attr-defined, no-any-return]


def _check() -> None:
    if getattr(HttpResponse(headers={"X-A": "b"}, content_type="c").headers, "_store", None) != {
        "x-a": ("X-A", "b"),
        "content-type": ("Content-Type", "c"),
    }:
        raise ImproperlyConfigured(f"Django has changed: adapt {__name__} to this version.")


_check()

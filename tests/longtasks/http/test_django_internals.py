"""Django stores headers as web reads them; the check at import says so when it does not."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.http.response import ResponseHeaders

from longtasks.http import django_internals


def test_the_stored_headers_are_those_of_the_mapping() -> None:
    response = HttpResponse(b"x", headers={"X-Name": "é", "x-other": 3}, content_type="text/plain")
    response["X-Name"] = "a"
    del response["X-Other"]
    stored = django_internals.get_stored_headers(response)
    assert list(stored.values()) == list(response.items()) == [("X-Name", "a"), ("Content-Type", "text/plain")]
    assert list(stored) == ["x-name", "content-type"]


def test_the_check_reports_headers_that_are_stored_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ResponseHeaders, "_store", {}, raising=False)
    monkeypatch.setattr(ResponseHeaders, "__setattr__", lambda *_: None)
    monkeypatch.setattr(ResponseHeaders, "__setitem__", lambda *_: None)
    with pytest.raises(ImproperlyConfigured, match="django_internals"):
        django_internals._check()

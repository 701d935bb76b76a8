"""The base of the viewsets: DRF's dispatch calls a handler with Django's request, and wraps it nowhere."""

import gc
import weakref
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from rest_framework.request import Request

from tasks_app.api.authentication import PUBLIC
from tasks_app.api.base_viewset import BaseViewSet


class EchoViewSet(BaseViewSet):
    needs_to_read = needs_to_write = PUBLIC

    def echo(self, request: HttpRequest) -> HttpResponse:
        self.seen.append((self.action, request, self.request))
        return HttpResponse(status=204)

    seen: list[Any] = []


def test_a_handler_gets_djangos_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("DRF wraps the request again")

    monkeypatch.setattr(Request, "__init__", refuse)
    monkeypatch.setattr(EchoViewSet, "seen", [])
    view = EchoViewSet.as_view({"get": "echo"})
    request = RequestFactory().get("/x")
    assert view(request).status_code == 204
    assert EchoViewSet.seen == [("echo", request, request)]
    assert view(RequestFactory().post("/x")).status_code == 405
    assert view(RequestFactory().options("/x")).headers["Allow"] == "GET, HEAD, OPTIONS"


def test_a_request_leaves_nothing_to_the_garbage_collector() -> None:
    class KeepingViewSet(EchoViewSet):
        def echo(self, request: HttpRequest) -> HttpResponse:
            views.append(weakref.ref(self))
            return HttpResponse(status=204)

    views: list[weakref.ref[Any]] = []
    view = KeepingViewSet.as_view({"get": "echo"})
    gc.collect()
    gc.disable()
    try:
        assert view(RequestFactory().get("/x")).status_code == 204
        assert views[0]() is None, "the view is part of a cycle"
    finally:
        gc.enable()

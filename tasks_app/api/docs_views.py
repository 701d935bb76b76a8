"""The API's documentation: the OpenAPI 3.1 document at /schema, and Swagger UI at /docs, without a CDN.

Owns when the document is generated. Must not describe an endpoint (openapi/operations).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.settings import patched_settings
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.negotiation import DefaultContentNegotiation

from tasks_app.api.authentication import PUBLIC
from tasks_app.api.base_viewset import BaseViewSet
from tasks_app.api.json_rendering import to_json
from tasks_app.api.openapi import operations
from tasks_app.conf.openapi import OPENAPI
from tasks_app.conf.project import is_embedded
from tasks_app.http import url_prefix

_TYPE = "application/vnd.oai.openapi+json;version=3.1"


class SchemaViewSet(BaseViewSet):
    """The OpenAPI document. Needs no token: it contains nothing about any task."""

    needs_to_read = needs_to_write = PUBLIC

    @operations.schema
    def retrieve(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(_get_schema(), content_type=_TYPE)


_generating = threading.Lock()  # drf-spectacular resolves its extensions in place, which is not thread-safe


def _get_schema() -> bytes:
    """Return the document, generated once per process: it depends on the code and the task types only."""
    with own_settings():
        return _generate_schema(url_prefix.get())


@contextmanager
def own_settings() -> Iterator[None]:
    """Use our settings of drf-spectacular, which may have those of another project."""
    patches = (
        {name: value for name, value in OPENAPI.items() if not name.startswith("SERVE_")} if is_embedded() else None
    )
    with _generating, patched_settings(patches):
        yield


@cache
def _generate_schema(prefix: str) -> bytes:
    if not is_embedded():
        generator: Any = SchemaGenerator()
        return to_json(generator.get_schema(request=None, public=True))
    routes = import_module("tasks_app.api.urls").urlpatterns  # not the project's other views
    document = SchemaGenerator(patterns=routes).get_schema(request=None, public=True)
    return to_json({**document, "servers": [{"url": prefix}]} if prefix else document)


class DocsView(SpectacularSwaggerSplitView):
    """Swagger UI with a separate script, so that the Content-Security-Policy can forbid inline scripts."""

    url_name = f"{url_prefix.NAMESPACE}:schema" if is_embedded() else "schema"
    permission_classes = ()
    authentication_classes = ()
    throttle_classes = ()
    versioning_class = None
    schema = AutoSchema()
    content_negotiation_class = DefaultContentNegotiation
    http_method_names = ("get", "head")  # type: ignore[assignment]  # DRF's OPTIONS needs a serializer

    @operations.schema
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with own_settings():
            return super().get(request, *args, **kwargs)

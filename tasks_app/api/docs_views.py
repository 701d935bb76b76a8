"""The API's documentation: the OpenAPI 3.1 document at /schema, and Swagger UI at /docs, without a CDN.

Owns when the document is generated. Must not describe an endpoint (openapi/operations).
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularSwaggerSplitView

from tasks_app.api.authentication import PUBLIC
from tasks_app.api.base_viewset import BaseViewSet
from tasks_app.api.json_rendering import to_json
from tasks_app.api.openapi import operations

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
    with _generating:
        return _generate_schema()


@cache
def _generate_schema() -> bytes:
    generator: Any = SchemaGenerator()
    return to_json(generator.get_schema(request=None, public=True))


class DocsView(SpectacularSwaggerSplitView):
    """Swagger UI with a separate script, so that the Content-Security-Policy can forbid inline scripts."""

    url_name = "schema"
    permission_classes = ()
    authentication_classes = ()
    http_method_names = ("get", "head")  # type: ignore[assignment]  # DRF's OPTIONS needs a serializer

"""The base of all viewsets: DRF's dispatch, without what DRF makes anew for each request.

Owns the order of the checks before a handler. Must not know an endpoint.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from drf_spectacular.openapi import AutoSchema
from rest_framework.permissions import SAFE_METHODS
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSetMixin

from tasks_app.api.authentication import identify
from tasks_app.api.content_negotiation import check_accept, check_content_type
from tasks_app.api.json_rendering import (
    DEFAULT_BODY_BYTES,
    OrjsonParser,
    OrjsonRenderer,
    read_body,
    read_json,
)
from tasks_app.api.problem_details import problem_response
from tasks_app.auth.api_tokens import READ, WRITE
from tasks_app.domain.callers import Caller


class PlainRequestView(APIView):
    """A view of DRF whose handlers get Django's request.

    DRF's own request chooses a parser, authenticators and a negotiator. Here they are fixed, and reading an attribute of
    Django's request through DRF's takes six times as long.
    """

    # What a project sets in REST_FRAMEWORK is for its own views.
    versioning_class = None
    throttle_classes = ()

    def get_exception_handler(self) -> Any:
        return problem_response

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpRequest:  # type: ignore[override]
        return request


class BaseViewSet(ViewSetMixin, PlainRequestView):
    """A viewset without per-request policy objects; `self.caller` is the authenticated caller."""

    # For the OpenAPI document only.
    renderer_classes = (OrjsonRenderer,)
    parser_classes = (OrjsonParser,)
    authentication_classes = ()
    permission_classes = ()
    metadata_class = None
    schema = AutoSchema()
    max_body_bytes: ClassVar[int] = DEFAULT_BODY_BYTES
    accepts_csv: ClassVar[bool] = False  # besides JSON
    needs_to_read: ClassVar[str] = READ
    needs_to_write: ClassVar[str] = WRITE
    caller: Caller

    @property
    def default_response_headers(self) -> dict[str, str]:
        # DRF would compute Allow for every response; problem_details adds it to 405 only, which requires it.
        return {}

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        try:
            return super().dispatch(request, *args, **kwargs)  # type: ignore[return-value]
        finally:
            # DRF keeps bound methods of the view in the view: a cycle, which only the garbage collector would free.
            vars(self).clear()

    def initial(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Negotiate the content type, authenticate the caller and check the body's headers, before the handler runs."""
        meta = request.META
        check_accept(meta, with_csv=self.accepts_csv)
        # Before the method is checked: an unauthorised caller must not learn which methods exist.
        is_safe = request.method in SAFE_METHODS
        self.caller = identify(meta, needs=self.needs_to_read if is_safe else self.needs_to_write)
        # Also where no body is read: a form's body may come from a page of another origin. 405 takes precedence.
        if self.action is not None and not is_safe and has_body(request):
            check_content_type(meta)

    def read_body(self, request: HttpRequest) -> Any:
        """Return the body's JSON, {} without a body."""
        return read_json(read_body(request, limit_bytes=self.max_body_bytes)) if has_body(request) else {}

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        return HttpResponse(status=204, headers={"Allow": ", ".join(self.allowed_methods)})


def has_body(request: HttpRequest) -> bool:
    """Return whether the request has a body."""
    return int(request.META.get("CONTENT_LENGTH") or 0) > 0

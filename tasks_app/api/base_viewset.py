"""The base of all viewsets: DRF's dispatch with shared instead of per-request policy objects.

Owns the order of the checks before a handler. Must not know an endpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.http import HttpResponse
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.permissions import SAFE_METHODS
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from tasks_app.api.authentication import identify
from tasks_app.api.content_negotiation import JsonNegotiation
from tasks_app.api.json_rendering import DEFAULT_BODY_BYTES, LengthRequired, OrjsonParser, OrjsonRenderer
from tasks_app.auth.api_tokens import READ, WRITE
from tasks_app.domain.callers import Caller
from tasks_app.task_types.rest_framework_internals import get_django_request

# These objects are stateless, so all threads share one of each.
_PARSERS: tuple[BaseParser, ...] = (OrjsonParser(),)
_RENDERERS: tuple[BaseRenderer, ...] = (OrjsonRenderer(),)
_NEGOTIATOR = JsonNegotiation()
_SHOWN_CHARACTERS = 64  # of a client's Content-Type in an error


class BaseViewSet(ViewSet):
    """A viewset without per-request policy objects; `self.caller` is the authenticated caller."""

    renderer_classes = (OrjsonRenderer,)
    parser_classes = (OrjsonParser,)
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    metadata_class = None
    versioning_class = None
    max_body_bytes: ClassVar[int] = DEFAULT_BODY_BYTES
    needs_to_read: ClassVar[str] = READ
    needs_to_write: ClassVar[str] = WRITE
    caller: Caller

    def get_parsers(self) -> Sequence[BaseParser]:  # type: ignore[override]
        return _PARSERS

    def get_renderers(self) -> Sequence[BaseRenderer]:  # type: ignore[override]
        return _RENDERERS

    def get_content_negotiator(self) -> JsonNegotiation:
        return _NEGOTIATOR

    @property
    def default_response_headers(self) -> dict[str, str]:
        # DRF would compute Allow for every response; problem_details adds it to 405 only, which requires it.
        return {}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Negotiate the content type, authenticate the caller and check the body's headers, before the handler runs."""
        self.format_kwarg = None
        request.accepted_renderer, request.accepted_media_type = _NEGOTIATOR.select_renderer(request, _RENDERERS)
        request.version = request.versioning_scheme = None
        # Before the method is checked: an unauthorised caller must not learn which methods exist.
        needs = self.needs_to_read if request.method in SAFE_METHODS else self.needs_to_write
        self.caller = identify(request.META, needs=needs)
        if "HTTP_TRANSFER_ENCODING" in request.META and "CONTENT_LENGTH" not in request.META:
            raise LengthRequired
        # Also where no body is read: a form's body may come from a page of another origin. 405 takes precedence.
        if self.action is not None and request.method not in SAFE_METHODS and has_body(request):
            refuse_other_media_types(request)

    def read_body(self, request: Request) -> Any:
        """Return the body's JSON, {} without a body. Unlike `request.data`, it does not try to parse forms."""
        if not has_body(request):
            return {}
        content_type: str = request.META.get("CONTENT_TYPE", "")
        return _PARSERS[0].parse(get_django_request(request), content_type, {"view": self})  # type: ignore[arg-type]

    def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponse(status=204, headers={"Allow": ", ".join(self.allowed_methods)})


def has_body(request: Request) -> bool:
    """Return whether the request has a body."""
    return int(request.META.get("CONTENT_LENGTH") or 0) > 0


def refuse_other_media_types(request: Request) -> None:
    """Raise UnsupportedMediaType unless the Content-Type is JSON, which an HTML form cannot send."""
    if _NEGOTIATOR.select_parser(request, _PARSERS) is None:
        raise UnsupportedMediaType(request.META.get("CONTENT_TYPE", "")[:_SHOWN_CHARACTERS])

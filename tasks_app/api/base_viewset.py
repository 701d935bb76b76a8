"""The base of all viewsets: DRF's dispatch with what is the same for every request made once.

Owns no behaviour of its own beyond that; uses DRF's extension points only.
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

# None of them keeps state, so one of each serves all threads.
_PARSERS: tuple[BaseParser, ...] = (OrjsonParser(),)
_RENDERERS: tuple[BaseRenderer, ...] = (OrjsonRenderer(),)
_NEGOTIATOR = JsonNegotiation()
_SHOWN_CHARACTERS = 64  # of a client's words in an error


class LeanViewSet(ViewSet):
    """A viewset without per-request policy objects; `self.caller` says who calls."""

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
        # DRF computes Allow for every answer; errors.py adds it to the 405s, which must have it.
        return {}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Negotiate, then tell who calls: all that has to happen before the handler."""
        self.format_kwarg = None
        request.accepted_renderer, request.accepted_media_type = _NEGOTIATOR.select_renderer(request, _RENDERERS)
        request.version = request.versioning_scheme = None
        # Before the method is looked at: who may not call learns nothing of what there is.
        needs = self.needs_to_read if request.method in SAFE_METHODS else self.needs_to_write
        self.caller = identify(request._request.META, needs=needs)
        if "HTTP_TRANSFER_ENCODING" in request.META and "CONTENT_LENGTH" not in request.META:
            raise LengthRequired
        # Where no body is read, too: a form's is a sign that a page of another origin sends it. 405 comes first.
        if self.action is not None and request.method not in SAFE_METHODS and has_body(request):
            refuse_other_media_types(request)

    def read_body(self, request: Request) -> Any:
        """Return the body's JSON, {} without one: what `request.data` gives, without its detour through forms."""
        if not has_body(request):
            return {}
        content_type: str = request.META.get("CONTENT_TYPE", "")
        return _PARSERS[0].parse(request._request, content_type, {"view": self})  # type: ignore[arg-type]

    def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponse(status=204, headers={"Allow": ", ".join(self.allowed_methods)})


def has_body(request: Request) -> bool:
    """Tell whether the request brings a body."""
    return int(request.META.get("CONTENT_LENGTH") or 0) > 0


def refuse_other_media_types(request: Request) -> None:
    """Raise UnsupportedMediaType unless the body is JSON by its Content-Type, which no HTML form can send."""
    if _NEGOTIATOR.select_parser(request, _PARSERS) is None:
        raise UnsupportedMediaType(request.META.get("CONTENT_TYPE", "")[:_SHOWN_CHARACTERS])

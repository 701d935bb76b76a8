"""What pages of other origins may do with a browser that reaches this service: nothing.

Owns the refusal of changes that another origin's page asks for (API, admin and login alike) and the headers that tell
browsers what our own pages may load. Who calls is not judged here: clients other than browsers send no such headers.
"""

from collections.abc import Callable
from typing import Any, Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from tasks_app.api.errors import problem

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_OWN_SITES: Final = frozenset({"same-origin", "none"})  # none: the user's own doing, as an address that they type
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
# Alpine, which draws the admin, compiles its attributes (unsafe-eval) and sets styles.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
PERMISSIONS_POLICY: Final = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


class BrowserMiddleware:
    """Refuses changes from other origins with 403; gives pages their policy."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method not in SAFE_METHODS and comes_from_elsewhere(request.META, scheme=request.scheme):
            response: HttpResponseBase = problem(
                403,
                "A web page of another origin may not change anything here. Send the request from this service's own "
                "pages, or from a client that is no browser.",
            )
        else:
            response = self.get_response(request)
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        if response.headers.get("Content-Type", "").startswith("text/html"):
            response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
            response.headers["Permissions-Policy"] = PERMISSIONS_POLICY
        return response


def comes_from_elsewhere(meta: dict[str, Any], *, scheme: str | None) -> bool:
    """Tell whether a browser says that a page of another origin made the request.

    Sec-Fetch-Site decides where it is there: no page can forge it, and no proxy changes it. Browsers send it to https
    and this machine only; elsewhere Origin is compared with Host. Behind a proxy that ends TLS, ours may be http though
    the page was https; the other way round it is another origin.
    """
    site = meta.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site not in _OWN_SITES
    origin: str | None = meta.get("HTTP_ORIGIN")
    if origin is None:
        return False
    origin_scheme, separator, origin_host = origin.lower().partition("://")
    if not separator or (scheme == "https" and origin_scheme != "https"):
        return True
    port = _DEFAULT_PORTS.get(origin_scheme, "")
    host: str = meta.get("HTTP_HOST", "").lower()
    return not port or origin_host.removesuffix(port) != host.removesuffix(port)

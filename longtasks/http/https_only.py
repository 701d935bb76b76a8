"""The middleware that, under HTTPS_ONLY, refuses plain http requests that must not be redirected.

Owns the refusal. Must not redirect: SecurityMiddleware does that.
"""

from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.security import SecurityMiddleware

from longtasks.http.refusals import refuse
from tasks_app.http.plain_http import explain_refusal

STATUS: Final = 403


class HttpsOnlyMiddleware:
    """Runs before SecurityMiddleware and respects its exemptions (SECURE_REDIRECT_EXEMPT)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        if not settings.SECURE_SSL_REDIRECT:
            raise MiddlewareNotUsed
        self.get_response = get_response
        self._exempt = SecurityMiddleware(get_response).redirect_exempt

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.is_secure() or any(pattern.search(request.path.lstrip("/")) for pattern in self._exempt):
            return self.get_response(request)
        refusal = explain_refusal(request.META, method=request.method)
        return self.get_response(request) if refusal is None else refuse(request, STATUS, refusal)

"""Django's middleware, limited to the paths that need it: session, locale, login and messages to the admin.

Owns which path gets which middleware. The API has no session: its requests pass through without SQL.
"""

import re
from collections.abc import Callable
from typing import Final

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponseBase, HttpResponsePermanentRedirect
from django.http.request import split_domain_port
from django.middleware.common import CommonMiddleware
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

ADMIN_PREFIX: Final = "/admin/"
KNOWN_HOSTS: Final = 16  # maximum: with a wildcard in ALLOWED_HOSTS, clients could fill the memory
# Probes and scrapers request these paths by an address that ALLOWED_HOSTS cannot list: a pod's, or a container's 127.0.0.1.
INSIDE: Final = re.compile("/(?:health/live|health/ready|metrics)/?")
Respond = Callable[[HttpRequest], HttpResponseBase]


class AdminMiddleware(SessionMiddleware, AuthenticationMiddleware, MessageMiddleware):
    """Session, language, login and messages under /admin/; other requests pass through.

    Runs a chain of Django's own classes. It inherits from three of them only because Django's checks search MIDDLEWARE
    for them (admin.E408 to E410).
    """

    async_capable = False
    chain = (SessionMiddleware, LocaleMiddleware, AuthenticationMiddleware, MessageMiddleware)

    def __init__(self, get_response: Respond) -> None:
        super().__init__(get_response)  # type: ignore[arg-type]
        self._pass: Respond = get_response
        self._admin: Respond = get_response
        for middleware in reversed(self.chain):
            self._admin = middleware(self._admin)  # type: ignore[arg-type,assignment]

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(ADMIN_PREFIX):
            return self._pass(request)
        try:
            return self._admin(request)
        finally:
            # The active language belongs to the thread: the thread's next API response would be in that language.
            translation.deactivate()


class HostAndLengthMiddleware(CommonMiddleware):
    """Refuses unknown hosts and sets Content-Length; adds a missing slash in the admin only.

    The API accepts paths with and without the slash, so its paths need no second lookup. It checks each host once per
    process. Probes and scrapers may name any host, or none in HTTP/1.0.
    """

    def __init__(self, get_response: Respond) -> None:
        super().__init__(get_response)  # type: ignore[arg-type]
        self._known_hosts: set[str] = set()

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        host = request.META.get("HTTP_HOST", "")
        if host in self._known_hosts and not request.path_info.startswith(ADMIN_PREFIX):
            return None
        if INSIDE.fullmatch(request.path_info) and ("HTTP_HOST" not in request.META or split_domain_port(host)[0]):
            return None
        redirect = super().process_request(request)  # raises DisallowedHost
        if host and redirect is None and len(self._known_hosts) < KNOWN_HOSTS:
            self._known_hosts.add(host)
        return redirect

    def should_redirect_with_slash(self, request: HttpRequest) -> bool:
        return request.path_info.startswith(ADMIN_PREFIX) and super().should_redirect_with_slash(request)

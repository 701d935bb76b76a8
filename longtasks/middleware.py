"""Django's middleware, kept to the pages that need it: session, locale, login and messages to the admin.

The API keeps no session; its requests pass through these without work and without SQL.
"""

from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.middleware.locale import LocaleMiddleware
from django.utils import translation
from django.utils.deprecation import MiddlewareMixin

ADMIN_PREFIX = "/admin/"


class AdminOnly(MiddlewareMixin):
    """Steps aside on every other path. Comes first among the bases."""

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info.startswith(ADMIN_PREFIX):
            return super().__call__(request)
        return self.get_response(request)


class AdminSessionMiddleware(AdminOnly, SessionMiddleware):
    """Sessions."""


class AdminLocaleMiddleware(AdminOnly, LocaleMiddleware):
    """The browser's language."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response = super().process_response(request, response)
        # The language belongs to the thread: without this the thread's next API answer would speak it.
        translation.deactivate()
        return response


class AdminAuthenticationMiddleware(AdminOnly, AuthenticationMiddleware):
    """`request.user`."""


class AdminMessageMiddleware(AdminOnly, MessageMiddleware):
    """One-time messages."""


class HostAndLengthMiddleware(CommonMiddleware):
    """Refuses unknown hosts and sets Content-Length; adds a missing slash in the admin only.

    The API takes both forms, and looking up each of its addresses twice would be for nothing.
    """

    def should_redirect_with_slash(self, request: HttpRequest) -> bool:
        return request.path_info.startswith(ADMIN_PREFIX) and super().should_redirect_with_slash(request)

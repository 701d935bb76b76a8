"""The rate limit of the login, by address and by user name, applied before the password is checked.

Owns its buckets. A successful login consumes nothing. A browser that has logged in before has a bucket of its own, so
nobody can lock its user out from elsewhere (OWASP's device cookies). Must not check a password.
"""

from __future__ import annotations

import math
import secrets
import unicodedata
from functools import wraps
from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from unfold.forms import AuthenticationForm

from tasks_app.conf import settings
from tasks_app.http import peers, url_prefix
from tasks_app.resilience import rate_limit

NAME_TRIES_PER_MINUTE: Final = 10  # per user name, and per known browser
COOKIE: Final = "longtasks_known_browser"
COOKIE_SECONDS: Final = 90 * 86_400
_SALT: Final = "tasks_app.admin.login_limit"


class BoundedLoginForm(AuthenticationForm):  # type: ignore[misc]
    """Django's form; it does not check the password after too many attempts."""

    request: HttpRequest

    def clean(self) -> Any:
        username = self.cleaned_data.get("username")
        per_address = settings.LONGTASKS.rate_limit_per_address
        if not username or not self.cleaned_data.get("password") or not per_address:
            return super().clean()
        buckets = _buckets(self.request, username, per_address=per_address)
        for bucket, per_minute in buckets:
            if wait_seconds := rate_limit.take(bucket, per_minute=per_minute):
                self.request.login_waits_seconds = math.ceil(wait_seconds)  # type: ignore[attr-defined]
                raise ValidationError(_("Too many attempts to log in. Try again in a minute."), code="throttled")
        cleaned = super().clean()  # raises when the password is wrong
        for bucket, per_minute in buckets:
            rate_limit.give_back(bucket, per_minute=per_minute)
        return cleaned


_login: Final = admin.site.login


@wraps(_login)
def login(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
    """Django's view; it returns 429 after too many attempts, and sets a cookie in the browser of a successful login."""
    response = _login(request, extra_context)
    wait_seconds = getattr(request, "login_waits_seconds", None)
    if wait_seconds is not None:
        response.status_code = 429
        response["Retry-After"] = str(wait_seconds)
    elif request.method == "POST" and response.status_code == 302 and request.user.is_authenticated:
        response.set_signed_cookie(
            COOKIE,
            f"{_mark(request.user.get_username())}.{secrets.token_hex(8)}",
            salt=_SALT,
            max_age=COOKIE_SECONDS,
            path=url_prefix.add("/admin/"),
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
    return response


def _buckets(request: HttpRequest, username: str, *, per_address: int) -> list[tuple[int, int]]:
    """Return the buckets that an attempt consumes, each with its limit per minute."""
    known = request.get_signed_cookie(COOKIE, default="", salt=_SALT, max_age=COOKIE_SECONDS) or ""
    if known.partition(".")[0] == _mark(username):
        return [(rate_limit.login_bucket(f"browser {known}"), NAME_TRIES_PER_MINUTE)]
    name = (rate_limit.login_bucket(f"name {_fold(username)}"), NAME_TRIES_PER_MINUTE)
    peer = peers.find_peer(request.META)
    return [(rate_limit.address_bucket(peer), per_address), name] if peer is not None else [name]


def _mark(username: str) -> str:
    return salted_hmac(_SALT, _fold(username)).hexdigest()


def _fold(username: str) -> str:
    """Return one form for all names that a database may treat as equal: it may ignore case and accents."""
    letters = unicodedata.normalize("NFKD", username).casefold()
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).strip()

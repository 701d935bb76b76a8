"""Every kind of caller: without a token, with each kind of token, with each kind of session.

Owns: their creation. Must not: know what they may do; `rules` lists it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.contrib.auth.models import Permission, User
from django.test import Client

from tasks_app.auth import api_tokens, token_cache

OWNER: Final = "ann-the-owner"
OTHER: Final = "bob-the-other"
NOT_VALID: Final = ("nobody", "malformed header", "unknown token", "revoked", "expired")
SCOPES: Final = {"read": 0, "write": 1, "admin": 2, "other's read": 0, "other's write": 1}
OTHERS: Final = ("other's read", "other's write")
NOT_STAFF: Final = ("inactive staff", "no staff")
NO_PERMISSION: Final = "staff: nothing"
UNNAMED: Final = "staff: all that no rule names"
SUPERUSER: Final = "superuser"


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller: a name, and a client that is logged in or sends a token."""

    name: str
    client: Client
    permission: str = ""  # "app.codename": the only permission of this staff user

    @property
    def kind(self) -> str:
        """Callers of one kind send the same kind of credential: none that is valid, a token, or a session."""
        return "session" if self.is_session else "token" if self.name in SCOPES else "stranger"

    @property
    def is_session(self) -> bool:
        return self.name not in NOT_VALID and self.name not in SCOPES


def make_callers(*, permissions: Collection[str]) -> list[Caller]:
    """Create all callers; `permissions` are those that rules name: one staff user for each."""
    headers = {
        "nobody": "",
        "malformed header": "Bearer: lt_\x7f,, Basic",
        "unknown token": f"Bearer {token_cache.PREFIX}{'A' * 43}",
        "revoked": f"Bearer {_make_token(OWNER, 'admin', revoke=True)}",
        "expired": f"Bearer {_make_token(OWNER, 'admin', lifetime=timedelta(seconds=-1))}",
        "read": f"Bearer {_make_token(OWNER, 'read')}",
        "write": f"Bearer {_make_token(OWNER, 'write')}",
        "admin": f"Bearer {_make_token('root', 'admin')}",
        "other's read": f"Bearer {_make_token(OTHER, 'read')}",
        "other's write": f"Bearer {_make_token(OTHER, 'write')}",
    }
    token_cache.known.forget()
    callers = [
        Caller(name, _client(headers={"Authorization": value} if value else None)) for name, value in headers.items()
    ]
    everything = {f"{app}.{name}": key for key, app, name in _list_permissions()}
    assert not set(permissions) - everything.keys(), set(permissions) - everything.keys()
    unnamed = [key for name, key in everything.items() if name not in permissions]
    callers += [
        Caller("inactive staff", _log_in("inactive", is_staff=True, is_superuser=True, is_active=False)),
        Caller("no staff", _log_in("outsider", list(everything.values()))),
        Caller(NO_PERMISSION, _log_in("nothing", is_staff=True)),
        Caller(UNNAMED, _log_in("unnamed", unnamed, is_staff=True)),
        *(
            Caller(f"staff: {name}", _log_in(f"has-{name}", [everything[name]], is_staff=True), permission=name)
            for name in sorted(permissions)
        ),
        Caller(SUPERUSER, _log_in("super", is_staff=True, is_superuser=True)),
    ]
    return callers


def _list_permissions() -> list[tuple[int, str, str]]:
    return list(Permission.objects.values_list("pk", "content_type__app_label", "codename"))


def _make_token(owner: str, scope: str, *, revoke: bool = False, lifetime: timedelta | None = None) -> str:
    token, secret = api_tokens.create_token(owner=owner, scope=scope, lifetime=lifetime)
    if revoke:
        api_tokens.revoke_token(token_id=token.pk)
    return secret


def _client(headers: dict[str, str] | None = None) -> Client:
    return Client(headers=headers, raise_request_exception=False)


def _log_in(name: str, permissions: Collection[int] = (), **values: bool) -> Client:
    is_active = values.pop("is_active", True)
    user = User.objects.create_user(name, password="a password", **values)
    user.user_permissions.set(permissions)
    client = _client()
    client.force_login(user)
    if not is_active:  # the session is older than the deactivation of the account
        User.objects.filter(pk=user.pk).update(is_active=False)
    return client

"""The permissions of the admin: view, operate, administer.

Owns their names. Must not decide for the API.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

from tasks_app.domain.callers import ADMIN, READ, Caller
from tasks_app.models.column_limits import cut_actor

VIEW: Final = "tasks_app.view_taskrecord"
OPERATE: Final = "tasks_app.operate_tasks"
ADMINISTER: Final = "tasks_app.administer_tasks"

View = Callable[..., HttpResponseBase]


def can_view(request: HttpRequest) -> bool:
    """Return whether the user may view; operating and administering include viewing."""
    return any(request.user.has_perm(permission) for permission in (VIEW, OPERATE, ADMINISTER))


def can_operate(request: HttpRequest) -> bool:
    return request.user.has_perm(OPERATE)


def can_administer(request: HttpRequest) -> bool:
    return request.user.has_perm(ADMINISTER)


def requires(check: Callable[[HttpRequest], bool]) -> Callable[[View], View]:
    """Return a decorator that refuses requests with 403 unless `check` passes."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not check(request):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def get_caller(request: HttpRequest) -> Caller:
    """Return the user as a caller of the services; a user who may operate has scope admin, for the tasks of all owners."""
    actor = get_actor(request)
    return Caller(owner=actor, scope=ADMIN if can_operate(request) else READ, actor=actor)


def get_actor(request: HttpRequest) -> str:
    """Return the user's name for the audit, cut to the length of its column."""
    return cut_actor(request.user.get_username())

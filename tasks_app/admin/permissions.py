"""Who may do what in the admin: view, operate, administer. The one place that names the permissions."""

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
    """Who may operate or administer may look, too."""
    return any(request.user.has_perm(permission) for permission in (VIEW, OPERATE, ADMINISTER))


def can_operate(request: HttpRequest) -> bool:
    return request.user.has_perm(OPERATE)


def can_administer(request: HttpRequest) -> bool:
    return request.user.has_perm(ADMINISTER)


def requires(check: Callable[[HttpRequest], bool]) -> Callable[[View], View]:
    """Refuse a request with 403 that does not pass `check`. The last positional arguments are the view's own."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not check(request):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def get_caller(request: HttpRequest) -> Caller:
    """Return this person as one who starts tasks: who may operate tasks may do so with those of all owners."""
    actor = get_actor(request)
    return Caller(owner=actor, scope=ADMIN if can_operate(request) else READ, actor=actor)


def get_actor(request: HttpRequest) -> str:
    """Return the name under which this person's deeds are noted, as far as the columns hold it."""
    return cut_actor(request.user.get_username())

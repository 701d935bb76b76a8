"""Pausing and resuming queues from the overview.

Owns the two forms and their messages. Must not write the pause itself (services/pause_queues).
"""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from tasks_app.admin.permissions import can_administer, get_actor, requires
from tasks_app.auth import audit_log
from tasks_app.errors import LongtasksError, UnknownQueue
from tasks_app.services import pause_queues


@require_POST
@requires(can_administer)
def pause_queue(request: HttpRequest, name: str) -> HttpResponse:
    """Pause a queue, with a reason."""
    return _change(request, name, pause=True)


@require_POST
@requires(can_administer)
def resume_queue(request: HttpRequest, name: str) -> HttpResponse:
    """Resume a queue."""
    return _change(request, name, pause=False)


def _change(request: HttpRequest, name: str, *, pause: bool) -> HttpResponse:
    try:
        if pause:
            reason = request.POST.get("reason", "")
            pause_queues.pause_queue(queue=name, actor=get_actor(request), reason=reason, source=audit_log.ADMIN)
            messages.success(request, gettext("Queue %(name)s is paused.") % {"name": name})
        else:
            pause_queues.resume_queue(queue=name, actor=get_actor(request), source=audit_log.ADMIN)
            messages.success(request, gettext("Queue %(name)s is resumed.") % {"name": name})
    except UnknownQueue as error:
        raise Http404(str(error)) from error
    except LongtasksError as error:
        messages.error(request, str(error))
    return HttpResponseRedirect(reverse("admin:index"))

"""django-rq's own pages beside the dashboard: for administrators only, with fixes for this service.

Owns the registration of django-rq's Dashboard and the only replacements of names inside django-rq; the reasons are in
docs/upstream/django-rq-pages.md. tests/admin/test_django_rq_pages.py fails when the library changes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any, Final

from django.contrib import admin, messages
from django.core.exceptions import ImproperlyConfigured
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext
from django_rq import utils, views
from django_rq.admin import QueueAdmin
from django_rq.models import Dashboard
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import Worker

from tasks_app.admin.permissions import can_administer, get_actor, requires
from tasks_app.api.problem_details import problem_response
from tasks_app.auth import audit_log
from tasks_app.errors import LongtasksError
from tasks_app.queues import parked_tasks, queue_names, redis_connection, redis_keys
from tasks_app.queues.thread_connection import UNAVAILABLE_ERRORS
from tasks_app.services import change_many_tasks
from tasks_app.services.rq_job import TaskJob

logger = logging.getLogger(__name__)
# Canceling is slow, so one request cancels at most this many tasks; the next request continues.
EMPTY_TASKS: Final = 20_000
_ROW_PAGES: Final = {f"django_rq_dashboard_{name}" for name in ("add", "change", "delete", "history")}


class ShownWorker(Worker):
    """A worker for the pages, which pass no serializer: it reads its job as JSON."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["serializer"] = kwargs.get("serializer") or JSONSerializer
        super().__init__(*args, **kwargs)


class CannotRequeue(InvalidJobOperation, NoSuchJobError):
    """The job cannot be requeued. It is also a NoSuchJobError, which the page that requeues all jobs skips."""


def _requeue_by_id(job_id: str, connection: Any, serializer: Any = None) -> Job:
    """Requeue a job as RQ's `requeue_job` does, but with our job class."""
    try:
        return TaskJob.fetch(job_id, connection=connection, serializer=serializer).requeue()
    except InvalidJobOperation as error:
        logger.warning("job %s is not requeued: %s", job_id, error)
        raise CannotRequeue(str(error)) from error


def _requeue(rq_queue: Any, job: Any) -> None:
    """Requeue a job as django-rq's `requeue_job` does, but through its job class."""
    if getattr(job, "snapshot", None) is None:
        _original_requeue(rq_queue, job)
    else:
        job.requeue()


def _replace(module: ModuleType, **names: Any) -> None:
    for name, value in names.items():
        if not hasattr(module, name):
            raise ImproperlyConfigured(f"{module.__name__} no longer has {name!r}: adapt {__name__} to this version.")
        setattr(module, name, value)


_original_requeue = utils.requeue_job
_replace(views, Worker=ShownWorker, Job=TaskJob, requeue_job=_requeue_by_id, _requeue_job=_requeue)
_replace(utils, Job=TaskJob)


def empty_queue(request: HttpRequest, queue_index: int) -> HttpResponseBase:
    """Cancel the waiting tasks. RQ would only delete the jobs, and rescue would requeue them."""
    request.current_app = admin.site.name  # type: ignore[attr-defined]
    if request.method != "POST":
        return views.clear_queue(request, queue_index)
    name = queue_names.QUEUES[queue_index]
    waiting: Any = redis_connection.get_connection().lrange(redis_keys.queue_key(name), 0, EMPTY_TASKS - 1)
    canceled = 0
    task_ids = [job_id.decode(errors="replace") for job_id in waiting]
    task_ids += parked_tasks.list_parked_ids(redis_connection.get_connection(), queue_name=name)[:EMPTY_TASKS]
    for start in range(0, len(task_ids), change_many_tasks.SET_TASKS):
        page = task_ids[start : start + change_many_tasks.SET_TASKS]
        canceled += len(
            change_many_tasks.cancel_tasks(task_ids=page, actor=get_actor(request), source=audit_log.ADMIN).changed
        )  # fmt: skip
    messages.info(request, gettext("%(number)d waiting tasks canceled.") % {"number": canceled})
    return HttpResponseRedirect(reverse("admin:django_rq_jobs", args=[queue_index]))


def _handle_errors(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Replace the 500 of django-rq by a message if a worker or job no longer exists or a task cannot be requeued.

    Return 503 if Redis refuses a command or is unavailable, as in the API.
    """

    @wraps(view)
    def handled(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except (InvalidJobOperation, NoSuchJobError) as error:
            messages.error(request, str(error) or gettext("The job's current state does not allow this."))
            return HttpResponseRedirect(reverse("admin:django_rq_dashboard_changelist"))
        except (*UNAVAILABLE_ERRORS, LongtasksError) as error:
            return problem_response(error, {"request": request})
        except (
            AssertionError,
            ValueError,
            IndexError,
            ImproperlyConfigured,
        ) as error:  # such as: no rq-scheduler
            raise Http404(str(error)) from error

    return handled


if admin.site.is_registered(Dashboard):
    admin.site.unregister(Dashboard)


@admin.register(Dashboard)
class RqPagesAdmin(QueueAdmin):
    """The pages require the permission to administer; in django-rq every staff user may empty a queue."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return can_administer(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return can_administer(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return can_administer(request)

    def get_urls(self) -> list[Any]:
        # The pages of single rows would fail with 500, because Dashboard has no table.
        patterns = [pattern for pattern in super().get_urls() if pattern.name and pattern.name not in _ROW_PAGES]
        for pattern in patterns:
            view = self.admin_site.admin_view(empty_queue) if pattern.name == "django_rq_clear" else pattern.callback
            # The login check comes first: an anonymous user is redirected to the login, as on every other page.
            pattern.callback = self.admin_site.admin_view(requires(can_administer)(_handle_errors(view)))
        return patterns

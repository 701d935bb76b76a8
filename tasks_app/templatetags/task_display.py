"""Template filters that format durations, numbers, statuses and causes in the user's language.

Owns their wording. Must not read a store.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from django import template
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from tasks_app.domain import task_status
from tasks_app.models import Status

register = template.Library()


@register.filter
def duration(seconds: float | None) -> str:
    """Format a duration in at most two units; None is a dash."""
    if seconds is None:
        return "–"
    if seconds < 0.9995:
        return _("%(number)s ms") % {"number": max(0, round(seconds * 1000))}
    if seconds < 9.95:
        return _("%(number)s s") % {"number": number_format(round(seconds, 1), 1)}
    whole = round(seconds)
    if whole < 60:
        return _("%(number)s s") % {"number": whole}
    if whole < 3600:
        return _("%(minutes)s min %(seconds)s s") % {"minutes": whole // 60, "seconds": whole % 60}
    if whole < 86_400:
        return _("%(hours)s h %(minutes)s min") % {"hours": whole // 3600, "minutes": whole % 3600 // 60}
    return _("%(days)s d %(hours)s h") % {"days": whole // 86_400, "hours": whole % 86_400 // 3600}


@register.filter
def compact(number: float | None) -> str:
    """Format a number with thousands separators; numbers below 10 keep their decimals."""
    if number is None:
        return "–"
    if 0 < number < 10 and number != int(number):
        return number_format(round(number, 2 if number < 1 else 1))
    return number_format(round(number), 0, use_l10n=True, force_grouping=True)


@register.filter
def ago(moment: datetime | None) -> str:
    """Format the time since a moment."""
    if moment is None:
        return "–"
    seconds = (datetime.now(UTC) - moment).total_seconds()
    if seconds < 1:
        return pgettext("time", "now")
    return _("%(duration)s ago") % {"duration": _coarse(seconds)}


@register.filter
def status_label(status: str) -> str:
    """Return a status in the user's language."""
    return str(dict(Status.choices).get(status, status))


@register.filter
def wait_seconds(task: Any) -> float | None:
    """Return how long a task waited for a worker before its first start, or has been waiting."""
    waits_since = task.start_at or task.created_at
    return max(0.0, ((task.started_at or task.ended_at or datetime.now(UTC)) - waits_since).total_seconds())


@register.filter
def run_seconds(task: Any) -> float | None:
    """Return how long a task ran, or has been running; None before its first start."""
    if task.started_at is None:
        return None
    return max(0.0, ((task.ended_at or datetime.now(UTC)) - task.started_at).total_seconds())


@register.filter
def percent(task: Any) -> int | None:
    """Return the finished share of a task; None if its total is unknown."""
    if task.status == task_status.FINISHED:
        return 100
    if not task.total:
        return None
    return min(100, int(100 * task.done / task.total))


@register.filter
def is_ended(task: Any) -> bool:
    return task.status in task_status.ENDED


@register.filter
def pretty_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


@register.filter
def count_label(name: str) -> str:
    """Return the label of a count, which is usually the name of a table."""
    return str(_(name.replace("_", " ")))


def _coarse(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return _("%(number)s s") % {"number": whole}
    if whole < 3600:
        return _("%(number)s min") % {"number": whole // 60}
    if whole < 86_400:
        return _("%(number)s h") % {"number": whole // 3600}
    return _("%(number)s d") % {"number": whole // 86_400}


@register.filter
def count_sum(counts: dict[str, int]) -> int:
    return sum(counts.values())


@register.filter
def queue_label(name: str) -> str:
    """Return the name of a queue: `high` and `low` translated, others unchanged."""
    return {"high": _("high"), "low": _("low")}.get(name, name)


@register.filter
def cause_label(cause: str) -> str:
    """Return why a task changed; an unknown cause unchanged."""
    return {
        "start": _("accepted"),
        "take": _("dequeued by a worker"),
        "yield": _("preempted by an urgent task"),
        "stop": _("its worker stopped"),
        "due": _("due"),
        "rescue": _("requeued by recovery"),
        "foreign_worker": _("requeued: a worker of another program had failed it"),
        "unknown_type": _("no worker knew its type"),
        "retry": _("retried"),
        "cancel": _("cancel requested"),
        "priority": _("priority changed"),
        "reschedule": _("start changed"),
        "attempt_failed": _("the attempt failed"),
        "end": _("ended"),
        "rq": _("changed with RQ's tools"),
    }.get(cause, cause)

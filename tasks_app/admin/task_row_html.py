"""One task as an HTML row of the list. Written in Python, because a template takes 5 ms for each of fifty rows.

Owns the markup of a row, for the page and its live parts. Must not output a value unescaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from tasks_app.domain import task_status
from tasks_app.models import Status, TaskRecord
from tasks_app.queues import queue_names
from tasks_app.templatetags.task_display import (
    ago,
    compact,
    count_label,
    duration,
    percent,
    queue_label,
    run_seconds,
    wait_seconds,
)

DESCRIPTION_CHARACTERS = 60


class RowWriter:
    """Writes rows in the user's language; translations are looked up once per page."""

    def __init__(self, *, can_operate: bool) -> None:
        self._can_operate = can_operate
        self._statuses = {value: escape(label) for value, label in Status.choices}
        self._queues = {name: escape(queue_label(name)) for name in queue_names.QUEUES}
        names = ("Status", "Task", "Queue", "Progress", "Rows", "Created", "Wait", "Run", "Worker")
        self._labels = dict(zip(names, map(escape, self._translate()), strict=True))
        self._select, self._canceling = _("Select %(name)s %(description)s"), escape(_("canceling"))
        self._dry_run = escape(_("dry run"))
        self._endless = escape(_("Progress, total unknown"))
        self._page = reverse("admin:tasks_app_taskrecord_change", args=["ID"])
        self._count_labels: dict[str, str] = {}

    def write_all(self, tasks: Iterable[TaskRecord]) -> SafeString:
        return mark_safe("".join(map(self.write, tasks)))  # noqa: S308 (each row is escaped in `write`)

    def write(self, task: TaskRecord) -> SafeString:
        """Return the `tr` of a task; `data-live-id` marks one that may still change."""
        task_id = str(task.id)
        live = "" if task.status in task_status.ENDED else f' data-live-id="{task_id}"'
        description = task.description
        if len(description) > DESCRIPTION_CHARACTERS:
            description = description[: DESCRIPTION_CHARACTERS - 1] + "…"
        title = escape(f"{task.name} · {description}" if description else task.name)
        owner = f" · {escape(task.owner)}" if task.owner else ""
        worker = escape(task.worker) or "–"
        created = f"{date_format(task.created_at, 'DATETIME_FORMAT')} UTC"
        tick = ""
        if self._can_operate:
            label = escape(self._select % {"name": task.name, "description": task.description})
            tick = (
                f'<td class="lt-tick"><input type="checkbox" name="task" value="{task_id}" aria-label="{label}" '
                f"data-live-keep></td>"
            )
        return mark_safe(  # noqa: S308 (every value is escaped)
            f'<tr id="task-{task_id}"{live}>{tick}'
            f"{self._cell('Status', self._badge(task))}"
            f'<th scope="row" data-label="{self._labels["Task"]}"><a href="{self._page.replace("ID", task_id)}">{title}</a>'
            f'<span class="lt-sub lt-mono">{task_id}{owner}</span></th>'
            f"{self._cell('Queue', self._priority(task))}"
            f"{self._cell('Progress', self._progress(task), 'lt-progress-cell')}"
            f"{self._cell('Rows', escape(compact(sum(task.counts.values()))), 'lt-num', self._format_counts(task.counts))}"
            f"{self._cell('Created', escape(ago(task.created_at)), 'lt-nowrap', created)}"
            f"{self._cell('Wait', escape(duration(wait_seconds(task))), 'lt-nowrap')}"
            f"{self._cell('Run', escape(duration(run_seconds(task))), 'lt-nowrap')}"
            f"{self._cell('Worker', worker, 'lt-mono lt-worker', task.worker)}</tr>"
        )

    def _cell(self, name: str, html: str, classes: str = "", title: str = "") -> str:
        attributes = f' class="{classes}"' if classes else ""
        if title:
            attributes += f' title="{escape(title)}"'
        return f'<td data-label="{self._labels[name]}"{attributes}>{html}</td>'

    def _badge(self, task: TaskRecord) -> str:
        badge = f'<span class="lt-badge lt-{escape(task.status)}">{self._statuses.get(task.status, "")}</span>'
        if task.cancel_requested and task.status not in task_status.ENDED:
            badge += f' <span class="lt-badge lt-canceled">{self._canceling}</span>'
        if task.dry_run:
            badge += f' <span class="lt-badge">{self._dry_run}</span>'
        return badge

    def _priority(self, task: TaskRecord) -> str:
        name = self._queues.get(task.priority, escape(task.priority))
        number = "" if task.urgency is None else f" · {task.urgency}"
        return f'<span class="lt-priority lt-priority-{escape(task.priority)}">{name}{number}</span>'

    def _progress(self, task: TaskRecord) -> str:
        part = percent(task)
        bar = ""
        if task.total or task.status in task_status.ENDED:
            bar = (
                f'<progress max="100" value="{part or 0}" class="lt-progress lt-{escape(task.status)}" '
                f'aria-label="{self._labels["Progress"]}"></progress>'
            )
        elif task.status == task_status.STARTED:
            bar = f'<progress class="lt-progress" aria-label="{self._endless}"></progress>'
        words = compact(task.done)
        if task.total:
            words += f" / {'≈ ' if task.total_is_estimate else ''}{compact(task.total)}"
        if part is not None:
            words += f" · {part} %"
        return f'{bar}<span class="lt-sub">{escape(words)}</span>'

    def _format_counts(self, counts: Mapping[str, Any]) -> str:
        for name in counts:
            if name not in self._count_labels:
                self._count_labels[name] = count_label(name)
        return ", ".join(f"{self._count_labels[name]} {number}" for name, number in counts.items())

    @staticmethod
    def _translate() -> tuple[str, ...]:
        return (
            _("Status"), _("Task"), _("Queue"), _("Progress"), _("Rows"), _("Created"), _("Wait"), _("Run"), _("Worker"),
        )  # fmt: skip

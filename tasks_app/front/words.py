"""The texts of the front page's scripts, in the active language.

Owns the list of them. Must not read a request or a store: the page's view has set the language.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from tasks_app.api.strict_validation import get_reader
from tasks_app.domain.task_status import ENDED
from tasks_app.models import Status
from tasks_app.task_types import TaskType, list_startable_types
from tasks_app.task_types.field_labels import field_label


def get_words() -> dict[str, Any]:
    """Return the words by their use; the script replaces `{name}` and the like."""
    return {
        "states": {value: str(label) for value, label in Status.choices},
        "ended": sorted(ENDED),
        "types": {task_type.name: _describe_type(task_type) for task_type in list_startable_types()},
        "live": _("Live"),
        "polling": _("Live, by polling"),
        "connecting": _("Connecting"),
        "away": _("No response: trying again"),
        "asleep": _("Waiting for a token"),
        "tokenRefused": _("The token is not valid. Enter another one."),
        "noAnswer": _("No response. Check the list before you send it again."),
        "started": _("Task {name} is accepted."),
        "changed": _("Task {name}: {state}"),
        "changedMany": _("{count} tasks have changed."),
        "stopping": _("Task {name} stops after the running chunk."),
        "records": _("{done} of {total} records"),
        "recordsOnly": _("{done} records"),
        "inserted": _("{count} rows"),
        "dryRun": _("dry run"),
        "progressOf": _("Progress of task {name}"),
        "cancel": _("Cancel"),
        "cancelOf": _("Cancel task {name}"),
        "retry": _("Retry"),
        "retryOf": _("Retry task {name}"),
        "paused": _("paused"),
        "served": _("served"),
        "queueNames": {"high": _("high"), "low": _("low")},
        "bounds": _("From {low} to {high}."),
        "atLeast": _("At least {low}."),
        "atMost": _("At most {high}."),
        "asJson": _("As JSON."),
        "badJson": _("Not valid JSON."),
        "optional": _("optional"),
        "wrong": _("Please correct the marked fields."),
        "copy": _("Copy"),
        "copyOf": _("Copy: {call}"),
        "copied": _("Copied."),
        "selected": _("Selected: copy it with the keyboard."),
        "times": _("{count} times"),
    }


def _describe_type(task_type: TaskType) -> dict[str, Any]:
    fields = get_reader(task_type.params_serializer).serializer.fields.items()
    return {
        "description": _(task_type.description) if task_type.description else "",
        "fields": {str(name): _(field_label(field)) for name, field in fields if not field.read_only},
    }

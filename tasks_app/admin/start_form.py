"""The form that starts a task: derived from the task type's serializer, which also validates the parameters.

Owns the form fields. Must not start a task itself (services/start_tasks).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext, gettext_lazy
from rest_framework import serializers

from tasks_app.admin.form_files import FileOrIdField, store_form_file
from tasks_app.admin.live_parts import render_page
from tasks_app.admin.permissions import can_operate, get_caller, requires
from tasks_app.admin.start_time_form import StartAtField
from tasks_app.admin.task_page import page_address
from tasks_app.api.problem_details import flatten
from tasks_app.auth import audit_log
from tasks_app.domain import max_failures, priorities
from tasks_app.errors import LongtasksError, NotAllowed, UnknownTask, UnknownTaskType
from tasks_app.read_model import task_queries
from tasks_app.services import start_tasks
from tasks_app.task_types import TaskType, get_startable_type, list_startable_types
from tasks_app.task_types.field_labels import field_label
from tasks_app.task_types.task_file_field import TaskFileField
from tasks_app.task_types.task_params import encode_params

PREFIX: Final = "params-"
_NOT_STORED: Final = "00000000-0000-0000-0000-000000000000"  # for the serializer, until the form's file is stored
Make = Callable[..., forms.Field]


def _number(field: Any, options: dict[str, Any], kind: Make = forms.IntegerField) -> forms.Field:
    return kind(min_value=field.min_value, max_value=field.max_value, **options)


def _choice(field: Any, options: dict[str, Any]) -> forms.Field:
    # Without a default, the first choice must not be taken for one that somebody has made.
    none = [] if field.required or field.default is not serializers.empty else [("", "–")]
    return forms.ChoiceField(choices=[*none, *field.choices.items()], **options)


_TEXTS: Final = (
    serializers.UUIDField,
    serializers.DateTimeField,
    serializers.DateField,
    serializers.TimeField,
    serializers.DurationField,
)
# Form fields by DRF's field classes, subclasses first; a field of any other class is entered as JSON.
_FIELDS: Final[tuple[tuple[type[serializers.Field], Callable[[Any, dict[str, Any]], forms.Field]], ...]] = (
    (serializers.BooleanField, lambda field, options: forms.BooleanField(**options | {"required": False})),
    (serializers.IntegerField, _number),
    (serializers.FloatField, lambda field, options: _number(field, options, forms.FloatField)),
    (serializers.DecimalField, lambda field, options: _number(field, options, forms.DecimalField)),
    (
        serializers.MultipleChoiceField,
        lambda field, options: forms.MultipleChoiceField(choices=list(field.choices.items()), **options),
    ),
    (serializers.ChoiceField, _choice),
    (TaskFileField, lambda field, options: FileOrIdField(**options)),
    *((kind, lambda field, options: forms.CharField(**options)) for kind in _TEXTS),
    (serializers.CharField, lambda field, options: forms.CharField(max_length=field.max_length, **options)),
)


class StartForm(forms.Form):
    """Description and priority, the start, how failures count, a dry run, and the parameters of one task type."""

    description = forms.CharField(label=gettext_lazy("Description"), required=False, max_length=255)
    priority = forms.TypedChoiceField(
        label=gettext_lazy("Priority"),
        help_text=gettext_lazy("1 to 3 count as high and preempt running tasks of other queues."),
        choices=[
            (priorities.HIGH, gettext_lazy("high")),
            (priorities.LOW, gettext_lazy("low")),
            *((number, number) for number in range(priorities.FIRST, priorities.LAST + 1)),
        ],
        initial=priorities.LOW,
        coerce=priorities.read_priority,
    )

    max_failures = forms.CharField(
        label=gettext_lazy("Failed records allowed"),
        help_text=gettext_lazy("A number, or a share with a percent sign. Records that fail are left out and listed."),
        required=False,
        max_length=max_failures.CHARACTERS,
        initial="0",
    )

    start_at = StartAtField(
        label=gettext_lazy("Begins at (UTC)"), help_text=gettext_lazy("Empty: as soon as a worker is free.")
    )

    dry_run = forms.BooleanField(
        label=gettext_lazy("Dry run"),
        help_text=gettext_lazy("Runs everything and rolls it back: shows the first changes, and keeps none."),
        required=False,
    )

    def __init__(self, task_type: TaskType, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.task_type = task_type
        self.uploads: dict[str, UploadedFile] = {}
        self.serializer_fields = {
            name: field for name, field in task_type.params_serializer().fields.items() if not field.read_only
        }
        if not task_type.isolates_failures:
            del self.fields["max_failures"]
        if not task_type.supports_dry_run:
            del self.fields["dry_run"]
        for name, field in self.serializer_fields.items():
            self.fields[PREFIX + name] = _make_field(field)

    def clean_max_failures(self) -> str:
        """Return the bound as a task carries it."""
        text = self.cleaned_data["max_failures"].strip() or "0"
        try:
            return max_failures.read_max_failures(int(text) if text.isascii() and text.isdigit() else text)
        except ValueError as error:
            raise forms.ValidationError(
                gettext("Give a number from 0 to %(most)s, or a share with a percent sign.")
                % {"most": f"{max_failures.MOST:,}"}
            ) from error

    def clean(self) -> dict[str, Any]:
        """Validate the parameters with the task type's serializer, and show its errors at their fields."""
        values = super().clean() or {}
        if any(name.startswith(PREFIX) for name in self.errors):
            return values
        for name, field in self.serializer_fields.items():
            if isinstance(field, TaskFileField) and isinstance(values.get(PREFIX + name), UploadedFile):
                self.uploads[name] = values[PREFIX + name]
                values[PREFIX + name] = _NOT_STORED
        params = {
            name: values[PREFIX + name]
            for name, field in self.serializer_fields.items()
            # An empty field is omitted: the serializer applies its default or reports it as required.
            if values.get(PREFIX + name) not in (None, "") or isinstance(field, serializers.BooleanField)
        }
        serializer = self.task_type.params_serializer(data=params)
        try:
            serializer.is_valid(raise_exception=True)
            values["params"] = encode_params(serializer.validated_data)
        except serializers.ValidationError as error:
            for wrong in flatten(error.detail):
                name = PREFIX + wrong["field"].partition(".")[0]
                self.add_error(name if name in self.fields else None, wrong["message"])
        return values

    def to_task(self, *, owner: str) -> start_tasks.NewTask:
        """Return the task, after its files were stored. Raises FilesFull, FilesUnavailable and StoreUnavailable."""
        values = self.cleaned_data
        stored = {self._source(name): store_form_file(file, owner=owner) for name, file in self.uploads.items()}
        return start_tasks.NewTask(
            name=self.task_type.name,
            params=values["params"] | stored,
            description=values["description"],
            priority=values["priority"],
            max_failures=values.get("max_failures", ""),
            dry_run=values.get("dry_run", False),
            start_at=values.get("start_at"),
        )

    def _source(self, name: str) -> str:
        return str(self.serializer_fields[name].source or name)


def has_required_params(task_type: TaskType) -> bool:
    return any(field.required for field in task_type.params_serializer().fields.values())


@requires(can_operate)
def start_page(request: HttpRequest) -> HttpResponse:
    """Show the form of a task type, and start the submitted task."""
    task_types = list_startable_types()
    try:
        task_type = get_startable_type(request.POST.get("type") or request.GET.get("type") or "")
    except UnknownTaskType:
        # Prefer a task type that changes no existing rows (those run dry), then one without required parameters.
        task_type = min(task_types, key=lambda known: (known.supports_dry_run, has_required_params(known)))
    if request.method == "POST":
        form = StartForm(task_type, request.POST, request.FILES)
        if form.is_valid():
            try:
                caller = get_caller(request)
                started = start_tasks.start_task(
                    task=form.to_task(owner=caller.owner), caller=caller, source=audit_log.ADMIN
                )
            except NotAllowed as error:
                name = PREFIX + error.field.removeprefix("params.").partition(".")[0]
                form.add_error(name if name in form.fields else None, error.reason)
            except LongtasksError as error:
                form.add_error(None, str(error))
            else:
                messages.success(request, gettext("The task was accepted."))
                return HttpResponseRedirect(page_address(started.snapshot.id))
    else:
        form = StartForm(task_type, initial=_get_initial(request.GET))
    context = {"title": gettext("Start a task"), "form": form, "task_type": task_type, "task_types": task_types}
    return render_page(request, "tasks_app/start.html", context)


def _get_initial(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of the task that `from` names; {} if there is none."""
    try:
        task = task_queries.get_task(task_id=query.get("from", ""))
    except UnknownTask:
        return {}
    return {
        "description": task.description,
        "priority": task.given_priority,
        "max_failures": task.given_max_failures,
        "dry_run": task.dry_run,
        **{PREFIX + name: value for name, value in task.params.items()},
    }


def _make_field(field: Any) -> forms.Field:
    default = field.get_initial() if field.default is serializers.empty else field.default
    options: dict[str, Any] = {
        "label": gettext(field_label(field)),
        "help_text": field.help_text or _format_bounds(field),
        "required": field.required,
        "initial": default() if callable(default) else default,
    }
    for kind, make in _FIELDS:
        if isinstance(field, kind):
            return make(field, options)
    return forms.JSONField(**options)


def _format_bounds(field: Any) -> str:
    low, high = getattr(field, "min_value", None), getattr(field, "max_value", None)
    if low is None or high is None:
        return ""
    return gettext("From %(low)s to %(high)s.") % {"low": f"{low:,}", "high": f"{high:,}"}

"""Extensions of drf-spectacular for what it cannot read from the serializers: strict objects, params, text patterns, files.

Owns each access to private parts of drf-spectacular (`AutoSchema._map_serializer` and `_map_serializer_field`: an
extension has no public way to the schema that it extends), and the check at import that they exist. The routes import it;
it runs when the schema is generated. Must not run in a request. tests/api/test_drf_spectacular_extensions.py fails when
drf-spectacular changes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from drf_spectacular.extensions import OpenApiSerializerExtension, OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent

from tasks_app.api.request_serializers import NOT_ISOLATED
from tasks_app.services.start_tasks import NO_DRY_RUN
from tasks_app.task_types import list_startable_types

_NO_COMPONENT_CHARACTERS: Final = re.compile(r"[^A-Za-z0-9._-]+")


def _check() -> None:
    for name in ("_map_serializer", "_map_serializer_field"):
        if not hasattr(AutoSchema, name):
            raise ImproperlyConfigured(f"drf-spectacular has no AutoSchema.{name}: adapt {__name__} to this version.")


_check()


class StrictObject(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Declare that unknown fields are refused."""

    target_class = "tasks_app.api.request_serializers.PauseSerializer"

    def map_serializer(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return {**schema, "additionalProperties": False}


class StrictBulk(StrictObject):  # type: ignore[no-untyped-call]
    target_class = "tasks_app.api.request_serializers.BulkSerializer"


class StrictTicket(StrictObject):  # type: ignore[no-untyped-call]
    target_class = "tasks_app.api.request_serializers.StreamTicketSerializer"


class Text(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Declare that a text in a request must not contain NUL: a validator of DRF refuses it, which drf-spectacular ignores."""

    target_class = "rest_framework.serializers.CharField"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer_field(self.target, direction, bypass_extensions=True)
        return {**schema, "pattern": r"^[^\u0000]*$"} if direction == "request" else schema


class StrictReschedule(StrictObject):  # type: ignore[no-untyped-call]
    target_class = "tasks_app.api.request_serializers.RescheduleSerializer"


def name_components(task_types: Sequence[str]) -> list[str]:
    """Return a component's name for the params of each task type; names of types may have characters that these may not."""
    names: list[str] = []
    for task_type in task_types:
        base = _NO_COMPONENT_CHARACTERS.sub("_", task_type.title())
        same = sum(re.fullmatch(rf"{re.escape(base)}(_[0-9]+)?Params", name) is not None for name in names)
        names.append(f"{base}_{same + 1}Params" if same else f"{base}Params")
    return names


class NewTask(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Describe a new task as one of the registered task types, each with its own params."""

    target_class = "tasks_app.api.request_serializers.NewTaskSerializer"

    def map_serializer(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        base: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        kinds = []
        names = name_components([task_type.name for task_type in list_startable_types()])
        for task_type, component_name in zip(list_startable_types(), names, strict=True):
            params = task_type.params_serializer()
            params_schema = auto_schema._map_serializer(params, "request", bypass_extensions=True)
            component = ResolvedComponent(
                name=component_name,
                type=ResolvedComponent.SCHEMA,
                object=task_type.params_serializer,
                schema={**params_schema, "additionalProperties": False},
            )
            auto_schema.registry.register_on_missing(component)
            properties = {
                **base["properties"],
                "name": {"type": "string", "const": task_type.name, "description": "The task type."},
                "params": component.ref,
            }
            if not task_type.isolates_failures:
                properties["maxFailures"] = {"type": "integer", "const": 0, "description": NOT_ISOLATED}
            if not task_type.supports_dry_run:
                properties["dryRun"] = {"type": "boolean", "const": False, "description": NO_DRY_RUN}
            kinds.append(
                {
                    "type": "object",
                    "title": task_type.name,
                    "properties": properties,
                    "required": ["name", "params"] if params_schema.get("required") else ["name"],
                    "additionalProperties": False,
                }
            )
        # `required` is repeated at this level: drf-spectacular derives from it that a body is required.
        return {"required": ["name"], "oneOf": kinds}


class Start(NewTask):  # type: ignore[no-untyped-call]
    target_class = "tasks_app.api.request_serializers.StartSerializer"


def require_uploaded_bodies(result: dict[str, Any], **_context: Any) -> dict[str, Any]:
    """Declare that a request whose body is a file must have one: drf-spectacular knows it of serializers only."""
    for path in result["paths"].values():
        for operation in path.values():
            body = operation.get("requestBody", {})
            if any(media_type["schema"].get("format") == "binary" for media_type in body.get("content", {}).values()):
                body["required"] = True
    return result

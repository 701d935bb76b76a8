"""What drf-spectacular can't read from the serializers: strict objects, params by task type, what a text may hold.

Imported by the application's start (through the routes); used when the schema is generated, never in a request.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension, OpenApiSerializerFieldExtension
from drf_spectacular.plumbing import ResolvedComponent

from tasks_app.task_types import list_task_types


class StrictObject(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Says that unknown fields are refused."""

    target_class = "tasks_app.api.request_serializers.PauseSerializer"

    def map_serializer(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return {**schema, "additionalProperties": False}


class StrictBulk(StrictObject):  # type: ignore[no-untyped-call]
    target_class = "tasks_app.api.request_serializers.BulkSerializer"


class StrictTicket(StrictObject):  # type: ignore[no-untyped-call]
    target_class = "tasks_app.api.request_serializers.StreamTicketSerializer"


class Text(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Says that no text that is sent may hold a NUL: DRF refuses it, by a validator that drf-spectacular passes over."""

    target_class = "rest_framework.serializers.CharField"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer_field(self.target, direction, bypass_extensions=True)
        return {**schema, "pattern": r"^[^\u0000]*$"} if direction == "request" else schema


class NewTask(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Describes a new task as one of the registered task types, each with its own params."""

    target_class = "tasks_app.api.request_serializers.NewTaskSerializer"

    def map_serializer(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        base: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        kinds = []
        for task_type in list_task_types():
            params = task_type.params_serializer()
            params_schema = auto_schema._map_serializer(params, "request", bypass_extensions=True)
            component = ResolvedComponent(
                name=f"{task_type.name.title()}Params",
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
            kinds.append(
                {
                    "type": "object",
                    "title": task_type.name,
                    "properties": properties,
                    "required": ["name", "params"] if params_schema.get("required") else ["name"],
                    "additionalProperties": False,
                }
            )
        # `required` stands outside too: from it drf-spectacular concludes that there must be a body.
        return {"required": ["name"], "oneOf": kinds}

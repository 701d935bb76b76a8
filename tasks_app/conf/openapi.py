"""The settings of drf-spectacular for our OpenAPI document, in this project and in any other.

Owns what the document says about the service as a whole. Must not describe an endpoint (api/openapi).
"""

from typing import Any, Final

from tasks_app import __version__

OPENAPI: Final[dict[str, Any]] = {
    "TITLE": "longtasks",
    "DESCRIPTION": "Long-running tasks that survive the crash of any process.",
    "VERSION": __version__,
    "OAS_VERSION": "3.1.0",
    "APPEND_COMPONENTS": {
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "An API token, created by `manage.py token create`. It gives access to the tasks of its "
                "owner; with scope `admin`, to all tasks. On a developer's machine the API is open and needs no token.",
            }
        }
    },
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "tasks_app.api.openapi.drf_spectacular_extensions.require_uploaded_bodies",
    ],
    "ENUM_NAME_OVERRIDES": {"TaskStatus": "tasks_app.domain.task_status.STATUSES"},
}

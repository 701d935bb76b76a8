"""What a type's author gives: names of types and parameters; and the places in the list of an import's failed records."""

from tasks_app.api.openapi.drf_spectacular_extensions import name_components
from tasks_app.errors import HopelessError
from tasks_app.management import new_type, param_options
from tasks_app.models import TaskFailure
from tasks_app.task_types.imports import sources
from tests.linearity import Case, texts
from tests.linearity_cases.calls import quietly


def author_cases() -> list[Case]:
    return [
        Case(
            "drf_spectacular_extensions.name_components",
            lambda name: name_components([name, name]),
            texts("x", " ", "_1", "é"),
            (
                "tasks_app/api/openapi/drf_spectacular_extensions.py:_NO_COMPONENT_CHARACTERS",
                "tasks_app/api/openapi/drf_spectacular_extensions.py:name_components",
            ),
        ),
        Case(
            "new_type.check_name",
            quietly(new_type.check_name, new_type.CannotMakeType),
            texts("x", "_", "A"),
            ("tasks_app/management/new_type.py:_NAME",),
        ),
        Case(
            "param_options._WORD",
            lambda name: param_options._WORD.sub("-", name),
            texts("x", "_", "aB"),
            ("tasks_app/management/param_options.py:_WORD",),
        ),
        Case(
            "sources._read_place",
            quietly(lambda key: sources._read_place(TaskFailure(position=0, key=key)), HopelessError),
            texts("1", "byte ", "byte 1, line ", "x"),
            ("tasks_app/task_types/imports/sources.py:_PLACE",),
        ),
    ]

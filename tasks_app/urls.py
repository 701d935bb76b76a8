"""The URLs of tasks_app for a project that is not ours: `path("longtasks/", include("tasks_app.urls"))`, under any prefix.

Owns which routes such a project gets: the API, the front page, and the documentation where drf-spectacular can show it.
Must not contain a view.
"""

from __future__ import annotations

from typing import Final

from django.apps import apps
from django.urls import URLPattern, path

from tasks_app.api.included_views import answer_stream, include_route
from tasks_app.api.urls import route
from tasks_app.api.urls import urlpatterns as api_urlpatterns
from tasks_app.front.views import front
from tasks_app.http.url_prefix import NAMESPACE

app_name: Final = NAMESPACE
_DOCS_APPS: Final = ("drf_spectacular", "drf_spectacular_sidecar")  # their templates and static files
_HIDDEN: Final = frozenset() if all(map(apps.is_installed, _DOCS_APPS)) else frozenset({"docs"})

urlpatterns: list[URLPattern] = [
    *(include_route(each) for each in api_urlpatterns if each.name not in _HIDDEN),
    include_route(route("stream", answer_stream, "stream")),
    include_route(route("tasks/<str:id>/stream", answer_stream, "task-stream")),
    include_route(path("", front, name="front")),
]

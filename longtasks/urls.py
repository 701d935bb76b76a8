"""The root URLconf: the API first, because it gets most requests, then the front page and the admin.

Owns the order of the routes. Must not contain a view.
"""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from tasks_app.api.problem_details import handler400, handler403, handler404, handler500, unknown_route
from tasks_app.api.urls import urlpatterns as api_urlpatterns
from tasks_app.front.views import front, icon, robots

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

urlpatterns = [
    # Unpacked instead of included: one resolver fewer for every request.
    *api_urlpatterns,
    path("", front),
    path("favicon.ico", icon),
    path("robots.txt", robots),
    path("admin/i18n/", include("django.conf.urls.i18n")),
    # No row has a page outside the admin, and Django's shortcut view answers 500 for a model without a table.
    re_path("^admin/r/", unknown_route),
    path("admin/", admin.site.urls),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    re_path("", unknown_route),
]

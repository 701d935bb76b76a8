"""All addresses: the API's first, which are called most, then the front page and the admin."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from tasks_app.api.problem_details import handler400, handler403, handler404, handler500, unknown_route
from tasks_app.api.urls import urlpatterns as api_urlpatterns
from tasks_app.front.views import front

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

urlpatterns = [
    # Their own list, not included: one resolver less on the path of every request.
    *api_urlpatterns,
    path("", front),
    path("admin/i18n/", include("django.conf.urls.i18n")),
    # No row has an address outside the admin, and for a model without a table Django's shortcut answers 500.
    re_path("^admin/r/", unknown_route),
    path("admin/", admin.site.urls),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    re_path("", unknown_route),
]

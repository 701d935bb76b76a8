"""All addresses: the admin, then the API with its description."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from tasks_app.api.errors import handler400, handler403, handler404, handler500, unknown_route

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

urlpatterns = [
    path("admin/i18n/", include("django.conf.urls.i18n")),
    path("admin/", admin.site.urls),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("", include("tasks_app.api.urls")),
    path("<path:address>", lambda request, address: unknown_route(request)),
]

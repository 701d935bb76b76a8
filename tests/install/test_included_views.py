"""Our views inside another project."""

from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from tasks_app.api.included_views import include_view
from tasks_app.api.request_ids import get_request_id


def show(request: HttpRequest, id: str = "") -> HttpResponse:
    return HttpResponse(f"{id} {get_request_id(request)}")


def test_no_setting_of_the_project_wraps_the_view() -> None:
    included = include_view(show)
    assert included._non_atomic_requests == {"default"}  # type: ignore[attr-defined]
    assert included.login_required is False  # type: ignore[attr-defined]
    assert included.csrf_exempt is True  # type: ignore[attr-defined]


def test_a_request_has_an_id_without_middleware() -> None:
    request = RequestFactory().get("/", headers={"X-Request-ID": "of-the-client"})
    request.resolver_match = None
    response = include_view(show)(request, id="7")
    assert (response.content, response["X-Request-ID"]) == (b"7 of-the-client", "of-the-client")


def test_a_page_of_another_origin_changes_nothing() -> None:
    request = RequestFactory().post("/", headers={"Sec-Fetch-Site": "cross-site"})
    request.resolver_match = None
    assert include_view(show)(request).status_code == 403

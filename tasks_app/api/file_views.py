"""The endpoints of files: upload, show, download, delete, and the links to artifacts.

Owns the status codes and headers. Must not contain a domain rule.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.permissions import SAFE_METHODS

from tasks_app.api.authentication import PUBLIC, identify
from tasks_app.api.base_viewset import BaseViewSet, has_body
from tasks_app.api.content_negotiation import check_accept, check_content_type
from tasks_app.api.file_content import respond_with_file
from tasks_app.api.file_serializers import file_data
from tasks_app.api.file_uploads import find_received, read_announced, receive
from tasks_app.api.json_rendering import respond
from tasks_app.api.openapi import file_operations
from tasks_app.api.query_parameters import NoQuerySerializer, read_query
from tasks_app.domain.callers import Caller
from tasks_app.errors import UnknownFile
from tasks_app.files import links, removal, uploads
from tasks_app.files.open_file import FileGone, find_row
from tasks_app.http import url_prefix
from tasks_app.resilience.transient_errors import mapped_database_errors


class FileViewSet(BaseViewSet):
    """Upload files, and show, download and delete one's own."""

    def initial(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Authenticate the caller. A file may have any type, so there is none to negotiate for it."""
        if (received := find_received(request)) is not None:
            self.caller = received.caller  # a request counts once against its token's limit
            return
        if self.action != "content":
            check_accept(request.META)
        is_safe = request.method in SAFE_METHODS
        self.caller = identify(request.META, needs=self.needs_to_read if is_safe else self.needs_to_write)
        if self.action == "destroy" and has_body(request):
            check_content_type(request.META)

    @file_operations.upload
    def create(self, request: HttpRequest) -> HttpResponse:
        announced = read_announced(request.META)
        with receive(request) as spool, mapped_database_errors():
            found = uploads.store_upload(
                spool, owner=self.caller.owner, name=announced.name, content_type=announced.content_type
            )
        return respond(file_data(found), status=201, headers={"Location": url_prefix.add(f"/files/{found.row.pk}")})

    @file_operations.show
    def retrieve(self, request: HttpRequest, id: str) -> HttpResponse:
        read_query(request.GET, NoQuerySerializer)
        with mapped_database_errors():
            return respond(file_data(uploads.find_file(id, caller=self.caller)))

    @file_operations.delete
    def destroy(self, request: HttpRequest, id: str) -> HttpResponse:
        with mapped_database_errors():
            removal.delete_file(id, caller=self.caller)
        return HttpResponse(status=204)

    @file_operations.content
    def content(self, request: HttpRequest, id: str) -> HttpResponseBase:
        read_query(request.GET, NoQuerySerializer)
        with mapped_database_errors():
            found = uploads.find_file(id, caller=self.caller)
        return respond_with_file(request, found.row)


class DownloadViewSet(BaseViewSet):
    """Download a file by a link, which needs no token."""

    needs_to_read = needs_to_write = PUBLIC

    def initial(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """A link is the permission, and a file may have any type."""

    @file_operations.download
    def retrieve(self, request: HttpRequest, link: str) -> HttpResponseBase:
        file_id = links.read_link(link)
        try:
            with mapped_database_errors():
                row = find_row(file_id)
        except FileGone:
            raise UnknownFile("") from None
        return respond_with_file(request, row)


def check_upload(request: HttpRequest) -> Caller:
    """Return the caller of an upload before its body is read. Raises what the view would raise after it."""
    view = FileViewSet()
    view.action = "create"
    view.initial(request)
    read_announced(request.META)
    return view.caller

"""The endpoints of a task's failed records: the list as JSON or CSV, and the start of a task of those records.

Owns the status codes and headers. Must not contain a domain rule.
"""

from __future__ import annotations

import uuid
from typing import Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from rest_framework.exceptions import ValidationError

from tasks_app.api.base_viewset import BaseViewSet
from tasks_app.api.content_negotiation import prefers_csv
from tasks_app.api.failure_serializers import FailuresQuerySerializer, failure_data
from tasks_app.api.json_rendering import respond
from tasks_app.api.openapi import failure_operations
from tasks_app.api.query_parameters import read_query
from tasks_app.api.request_ids import get_request_id
from tasks_app.api.request_serializers import read_idempotency_key
from tasks_app.api.response_serializers import started_data
from tasks_app.http import url_prefix
from tasks_app.read_model import failure_list, task_queries
from tasks_app.services.retry_failures import retry_failures

CSV: Final = "text/csv; charset=utf-8"


class FailureViewSet(BaseViewSet):
    """List and retry the failed records of a task."""

    accepts_csv = True

    @failure_operations.list_
    def list(self, request: HttpRequest, id: str) -> HttpResponseBase:
        query = read_query(request.GET, FailuresQuerySerializer)
        task = task_queries.get_task(task_id=id, owner=self.caller.sees_owner)
        key = uuid.UUID(task.id)
        if query.get("format", "csv" if prefers_csv(request.META) else "json") == "csv":
            parts = failure_list.write_csv(task_id=key)
            headers = {"Content-Disposition": f'attachment; filename="failures-{task.id}.csv"', "Vary": "Accept"}
            return StreamingHttpResponse(parts, content_type=CSV, headers=headers)
        try:
            page = failure_list.read_page(task_id=key, cursor=query.get("cursor", ""), limit=query["limit"])
        except ValueError as error:
            raise ValidationError({"cursor": ["Not a valid cursor. Use the `next` link of a page."]}) from error
        following = None
        if page.next_cursor:
            again = urlencode({**request.GET.dict(), "cursor": page.next_cursor})
            following = url_prefix.add(f"/tasks/{task.id}/failures?{again}")
        failures = [failure_data(each) for each in page.failures]
        return respond({"failures": failures, "next": following}, headers={"Vary": "Accept"})

    @failure_operations.retry
    def retry(self, request: HttpRequest, id: str) -> HttpResponse:
        started = retry_failures(
            task_id=id,
            actor=self.caller.actor,
            owner=self.caller.sees_owner,
            request_id=get_request_id(request),
            idempotency_key=read_idempotency_key(request.META),
        )
        headers = {"Location": url_prefix.add(f"/tasks/{started.snapshot.id}")}
        if started.replayed:
            headers["Idempotency-Replayed"] = "true"
        return respond(started_data(started.snapshot), status=201, headers=headers)

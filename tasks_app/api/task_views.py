"""The endpoints of tasks: each parses the request, calls one service or query, and returns the response.

Owns the status codes and headers. Must not contain a domain rule.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import ValidationError

from tasks_app.api.base_viewset import BaseViewSet
from tasks_app.api.file_serializers import UNKNOWN_RESULTS, results_data
from tasks_app.api.json_rendering import SOURCE_HEADER, respond, respond_if_changed
from tasks_app.api.long_poll import wait_for_end
from tasks_app.api.openapi import operations
from tasks_app.api.prefer_wait import WaitQuerySerializer, read_wait
from tasks_app.api.query_parameters import ListQuerySerializer, NoQuerySerializer, read_query
from tasks_app.api.request_ids import get_request_id
from tasks_app.api.request_serializers import read_bulk, read_idempotency_key, read_reschedule, read_start
from tasks_app.api.response_serializers import event_data, started_data, task_data
from tasks_app.api.validation_serializers import bulk_validated_data, validated_data
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.domain.task_status import CANCELED, STOPPED
from tasks_app.errors import QueueUnavailable, StoreUnavailable
from tasks_app.http import url_prefix
from tasks_app.queues import job_snapshots
from tasks_app.read_model import task_queries
from tasks_app.read_model.task_results import find_results
from tasks_app.read_model.task_rows import to_snapshot
from tasks_app.read_model.task_search import TaskFilter, find_tasks
from tasks_app.services import change_tasks, start_tasks

_POLL_SECONDS: Final = 1  # Retry-After of an unfinished task
_LONGEST_POLL_SECONDS: Final = 3600  # a start far ahead may be changed
_BULK_BODY_BYTES: Final = 4 * 1024 * 1024


class TaskViewSet(BaseViewSet):
    """Start, list, show, cancel, retry and reschedule tasks."""

    @operations.start
    def create(self, request: HttpRequest) -> HttpResponse:
        wait = read_wait(request.META, request.GET)
        task, validate_only = read_start(self.read_body(request))
        if validate_only:
            read_idempotency_key(request.META)
            [snapshot] = start_tasks.validate_tasks(tasks=[task], caller=self.caller)
            return respond(validated_data(snapshot), status=200)
        started = start_tasks.start_task(
            task=task,
            caller=self.caller,
            request_id=get_request_id(request),
            idempotency_key=read_idempotency_key(request.META),
        )
        task_id = started.snapshot.id
        snapshot, has_waited = wait_for_end(
            request, started.snapshot, read=lambda: read_started(task_id), seconds=wait.seconds
        )
        headers = {"Location": url_prefix.add(f"/tasks/{task_id}")}
        if started.replayed:
            headers["Idempotency-Replayed"] = "true"
        if has_waited and wait.preference is not None:
            headers["Preference-Applied"] = wait.preference
        return respond(started_data(snapshot), status=201, headers=headers)

    @operations.list_
    def list(self, request: HttpRequest) -> HttpResponse:
        query = read_query(request.GET, ListQuerySerializer)
        try:
            wanted = TaskFilter(
                owner=self.caller.sees_owner,
                status=query.get("status"),
                name=query.get("name"),
                priority=query.get("priority"),
                queue=query.get("queue"),
                created_after=query.get("createdAfter"),
                created_before=query.get("createdBefore"),
            )
            page = find_tasks(wanted=wanted, cursor=query.get("cursor", ""), limit=query["limit"], with_heavy=True)
        except ValueError as error:
            if "cursor" not in query:
                raise
            raise ValidationError({"cursor": ["Not a valid cursor. Use the `next` link of a page."]}) from error
        following = None
        if page.next_cursor:
            following = url_prefix.add("/tasks?") + urlencode({**request.GET.dict(), "cursor": page.next_cursor})
        tasks = [task_data(to_snapshot(record)) for record in page.records]
        return respond({"tasks": tasks, "next": following, "searchedTo": page.searched_to})

    @operations.show
    def retrieve(self, request: HttpRequest, id: str) -> HttpResponse:
        read_query(request.GET, WaitQuerySerializer)
        wait = read_wait(request.META, request.GET)
        owner = self.caller.sees_owner
        found: list[task_queries.FoundTask] = []

        def read() -> Snapshot:
            found[:] = [task_queries.find_task(task_id=id, owner=owner)]
            return found[0].snapshot

        snapshot, has_waited = wait_for_end(request, read(), read=read, seconds=wait.seconds)
        only_source = found[0].only_source
        try:
            results = results_data(find_results(snapshot))
        except StoreUnavailable:
            results, only_source = UNKNOWN_RESULTS, "redis"
        response = respond_if_changed(request, task_data(snapshot) | results)
        if only_source:
            response[SOURCE_HEADER] = only_source
        if not snapshot.ended:
            response["Retry-After"] = str(poll_after_seconds(snapshot))
        if has_waited and wait.preference is not None:
            response["Preference-Applied"] = wait.preference
        return response

    @operations.cancel
    def cancel(self, request: HttpRequest, id: str) -> HttpResponse:
        snapshot = change_tasks.cancel_task(task_id=id, actor=self.caller.actor, owner=self.caller.sees_owner)
        stopped = snapshot.status in (CANCELED, STOPPED)
        return respond(started_data(snapshot), status=200 if stopped else 202)

    @operations.retry
    def retry(self, request: HttpRequest, id: str) -> HttpResponse:
        snapshot = change_tasks.retry_task(task_id=id, actor=self.caller.actor, owner=self.caller.sees_owner)
        return respond(
            started_data(snapshot), status=202, headers={"Location": url_prefix.add(f"/tasks/{snapshot.id}")}
        )

    @operations.reschedule
    def reschedule(self, request: HttpRequest, id: str) -> HttpResponse:
        start_at = read_reschedule(self.read_body(request))
        snapshot = change_tasks.change_start(
            task_id=id, start_at=start_at, actor=self.caller.actor, owner=self.caller.sees_owner
        )
        return respond(started_data(snapshot), status=200)

    @operations.history
    def events(self, request: HttpRequest, id: str) -> HttpResponse:
        read_query(request.GET, NoQuerySerializer)
        events = task_queries.list_events(task_id=id, owner=self.caller.sees_owner)
        return respond({"events": [event_data(event) for event in events]})


class BulkViewSet(BaseViewSet):
    """Start many tasks at once."""

    max_body_bytes = _BULK_BODY_BYTES

    @operations.bulk
    def create(self, request: HttpRequest) -> HttpResponse:
        tasks, validate_only = read_bulk(self.read_body(request))
        if validate_only:
            read_idempotency_key(request.META)
            snapshots = start_tasks.validate_tasks(tasks=tasks, caller=self.caller, are_many=True)
            return respond(bulk_validated_data(snapshots), status=200)
        started = start_tasks.start_tasks(
            tasks=tasks,
            caller=self.caller,
            request_id=get_request_id(request),
            idempotency_key=read_idempotency_key(request.META),
        )
        headers = {"Idempotency-Replayed": "true"} if started.replayed else None
        body = {"success": True, "tasks": [task_data(snapshot) for snapshot in started.snapshots]}
        return respond(body, status=201, headers=headers)


def read_started(task_id: str) -> Snapshot | None:
    """Return the snapshot of a task that was just started; None if Redis has no snapshot or is unavailable."""
    try:
        return job_snapshots.get_snapshot(task_id)
    except QueueUnavailable:
        return None


def poll_after_seconds(snapshot: Snapshot) -> int:
    """Return the seconds until the next poll: one, or until the task's start or next attempt, an hour at most."""
    if snapshot.next_attempt_at is None:
        return _POLL_SECONDS
    seconds = round((snapshot.next_attempt_at - datetime.now(UTC)).total_seconds())
    return min(max(_POLL_SECONDS, seconds), _LONGEST_POLL_SECONDS)

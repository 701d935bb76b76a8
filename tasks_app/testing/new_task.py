"""The start of a task in a test: its params are validated and authorized as a request's are, and nothing is enqueued.

Owns the values that a test may write and JSON lacks: dates, decimals, and the content of files.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from uuid_utils import uuid7

from tasks_app.api.request_serializers import read_new_task
from tasks_app.domain.callers import Caller
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.files.names import BINARY
from tasks_app.files.spool import Spool
from tasks_app.files.uploads import store_upload
from tasks_app.services.start_tasks import validate_tasks
from tasks_app.task_types.task_params import encode_params


def accept_task(name: str, params: Mapping[str, Any] | None, *, max_failures: int | str, caller: Caller) -> Snapshot:
    """Return the first snapshot of a task. A Path or bytes as a param is stored as an uploaded file.

    Raises what the start of a task raises: DRF's ValidationError (also for an unknown type), NotAllowed, NamedFileUnknown.
    """
    given = {key: _store(key, value, caller) for key, value in (params or {}).items()}
    body: dict[str, Any] = {"name": name, "params": encode_params(given)}
    if max_failures:
        body["maxFailures"] = max_failures
    task = read_new_task(body)
    [snapshot] = validate_tasks(tasks=[task], caller=caller)
    return replace(snapshot, id=str(uuid7()))


def _store(key: str, value: Any, caller: Caller) -> Any:
    """Return the id of a new file with this content; other values unchanged."""
    if isinstance(value, Path):
        return _store_file(value.read_bytes(), name=value.name, caller=caller)
    if isinstance(value, bytes):
        return _store_file(value, name=key, caller=caller)
    return value


def _store_file(content: bytes, *, name: str, caller: Caller) -> str:
    with Spool() as spool:
        spool.write(content)
        content_type = mimetypes.guess_type(name)[0] or BINARY
        return str(store_upload(spool, owner=caller.owner, name=name, content_type=content_type).row.pk)

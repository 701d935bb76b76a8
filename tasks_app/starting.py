"""`start_task`: starts a task from a project's own code, inside `atomic()` together with what the transaction writes.

Owns the arguments and their validation, which is that of `POST /tasks`. Must not decide how the task gets into its queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks_app.api.request_serializers import read_new_task
from tasks_app.domain.callers import ADMIN, WRITE, Caller
from tasks_app.models import column_limits
from tasks_app.services.transactional_start import start_with_transaction
from tasks_app.task_types.task_params import encode_params


@dataclass(frozen=True, slots=True)
class Started:
    """A task that was started, or that commits with the caller's transaction."""

    id: str


def start_task(
    name: str,
    params: Mapping[str, Any] | None = None,
    *,
    description: str = "",
    priority: str | int | None = None,
    callback_url: str = "",
    max_failures: int | str | None = None,
    dry_run: bool = False,
    owner: str = "",
    scope: str = ADMIN,
) -> Started:
    """Start a task and return its id; docs/start-in-transactions.md has an example.

    Inside `atomic()` the task is started by the commit, exactly once, and a rollback leaves nothing of it. Outside it is
    in its queue when this returns.

    `owner` is whose task it is, as for tokens. The code of the project may start everything; with `scope="write"` the
    start is checked with the rights of the owner, as one by the API is.

    Raises DRF's ValidationError (an unknown type too), NotAllowed, NamedTaskUnknown; outside of a transaction also
    QueueFull and QueueUnavailable.
    """
    if scope not in (ADMIN, WRITE):
        raise ValueError(f"scope is {scope!r}: give {ADMIN!r} or {WRITE!r}")
    if len(owner) > column_limits.OWNER:
        raise ValueError(f"owner has {len(owner)} characters: give at most {column_limits.OWNER}")
    body: dict[str, Any] = {"name": name, "params": encode_params(dict(params or {})), "dryRun": dry_run}
    optional = {
        "description": description,
        "callbackUrl": callback_url,
        "priority": priority,
        "maxFailures": max_failures,
    }
    body |= {field: value for field, value in optional.items() if value not in (None, "")}
    snapshot = start_with_transaction(task=read_new_task(body), caller=Caller(owner=owner, scope=scope, actor=owner))
    return Started(snapshot.id)

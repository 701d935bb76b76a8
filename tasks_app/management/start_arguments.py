"""The arguments of `manage.py task start`, and the body of POST /tasks that they stand for.

Owns both. Must not start a task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks_app.management import failures_action
from tasks_app.management.arguments import json_object, priority, text
from tasks_app.management.file_argument import store_argument
from tasks_app.management.param_options import TypeParser, read_param_options
from tasks_app.queues import queue_names
from tasks_app.task_types import list_names


def add_arguments(parser: TypeParser) -> None:
    """Declare the arguments of `task start`."""
    parser.adds_params = True
    parser.add_argument("name", type=text, help="the task type: " + ", ".join(list_names()))
    parser.add_argument("--records", type=int, metavar="N", help="short for --params '{\"numRecords\": N}'")
    parser.add_argument(
        "--params",
        type=json_object,
        default={},
        metavar="JSON",
        help="parameters of the task type; each has an option too: `task start NAME --help` lists them",
    )
    parser.add_argument("--file", type=text, metavar="PATH", help="store this file, and pass its id; -: standard input")
    parser.add_argument("--description", type=text, default="")
    parser.add_argument(
        "--priority", type=priority, default=queue_names.LOW, help="high, low (the default), or 1 (critical) to 10"
    )
    parser.add_argument(
        "--max-failures",
        type=failures_action.read_bound,
        default=0,
        metavar="N",
        help="how many records may fail (and are left out): a number, or a share such as 0.5%% (0)",
    )
    parser.add_argument(
        "--at", type=text, metavar="TIME", help="begin then: ISO 8601 with a time zone, such as 2026-12-01T03:00+01:00"
    )
    parser.add_argument("--dry-run", action="store_true", help="run every chunk and roll it back: no row changes")
    parser.add_argument(
        "--validate-only", action="store_true", help="check the arguments, show what would be started, store nothing"
    )
    parser.add_argument("--wait", action="store_true", help="show the task's progress until it ends")


def read_body(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of the request, after a file was stored. Raises as `store_argument` does."""
    params = options["params"] | ({} if options["records"] is None else {"numRecords": options["records"]})
    params |= read_param_options(options)
    if options["file"] is not None:
        params |= store_argument(options["file"], task_type=options["name"], params=params)
    body = {"name": options["name"], "priority": options["priority"], "params": params}
    if options["max_failures"]:
        body["maxFailures"] = options["max_failures"]
    if options["description"]:
        body["description"] = options["description"]
    if options["at"] is not None:
        body["startAt"] = options["at"]
    if options["dry_run"]:
        body["dryRun"] = True
    return body

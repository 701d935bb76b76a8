"""schemathesis against the live stack with the production settings: every operation, all its checks; 0 failures.

Three runs at once, with tokens of scope read, write and admin of different owners. In addition to schemathesis's checks
(no 5xx, answers that fit the schema, authentication, methods, sequences) those of fuzz_checks.py run, and the database
is queried afterwards. Short here; `make fuzz` gives it FUZZ_SECONDS (600). A failure is shown with its request in curl.
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from loadtests.started.servers import Database, RedisServer
from tests.acceptance.conftest import Guarded, make_guarded

SECONDS = int(os.environ.get("FUZZ_SECONDS", "8"))
LONG_SECONDS = 60
OWNERS = {"read": "bob", "write": "ann", "admin": "root"}
FOREIGN_MARK = "a task of carol's"
# No schema can express that an Idempotency-Key was used before (422), or that a range begins beyond the file's end (416).
CONFIGURATION = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 416, 422, 429, "5xx"]

[dictionaries.tasks]
values = {tasks}

[parameters]
"path.id" = {{ dictionary = "tasks", probability = 0.3 }}
"""


def start_fuzzing(
    guarded: Guarded, *, scope: str, token: Mapping[str, str], known: list[str], directory: Path
) -> subprocess.Popen[str]:
    """Start schemathesis with a token of this scope; its output goes to a file in `directory`."""
    directory.mkdir()
    (directory / "schemathesis.toml").write_text(CONFIGURATION.format(tasks=json.dumps(known)))
    stack = guarded.stack
    with (directory / "output").open("w") as output:
        return subprocess.Popen(
            [
                *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{stack.address}/schema"),
                *("--header", f"Authorization: {token['Authorization']}"),
                *("--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"),
                *("--max-time", str(SECONDS), "--continue-on-failure", "--workers", "1"),
                # ?wait= may take a minute.
                *("--request-timeout", "70", "--max-response-time", "65", "--suppress-health-check", "all"),
            ],
            cwd=directory,  # schemathesis stores its database of examples there
            env={
                **stack.environment,
                "NO_COLOR": "1",
                "COLUMNS": "160",
                "SCHEMATHESIS_HOOKS": str(Path(__file__).with_name("fuzz_checks.py")),
                "FUZZ_SCOPE": scope,
                "FUZZ_FOREIGN_MARK": FOREIGN_MARK,
                "FUZZ_SEEN": str(directory / "seen"),
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )


def start_tasks(guarded: Guarded, *, token: Mapping[str, str], description: str = "") -> list[str]:
    """Start tasks that Redis, the mirror and the database know: two that end at once, and one that continues."""
    bodies = [
        {"name": "upload", "description": description, "params": {"numRecords": count}} for count in (1, 2, 9_000_000)
    ]
    # A token is known within a second after its creation.
    stack = guarded.stack
    stack.wait_for(
        lambda: stack.get("/tasks", headers=token).status == 200, deadline_seconds=30, what="the token is known"
    )
    answers = [guarded.stack.post("/tasks", body, headers=token) for body in bodies]
    assert [answer.status for answer in answers] == [201] * len(bodies), answers
    return [answer.json["id"] for answer in answers]


def find_owners(guarded: Guarded) -> dict[str, str]:
    """Return the owner of each task id (without hyphens), from the database."""
    rows = guarded.stack.sql("SELECT id, owner FROM tasks_app_taskrecord")
    return {str(task_id).replace("-", ""): owner for task_id, owner in rows}


def count_acts(guarded: Guarded, actor: str) -> list[int]:
    """Count the actor's acts in the database's tables."""
    tables = ("tasks_app_taskevent WHERE actor", "tasks_app_auditentry WHERE actor", "tasks_app_taskrecord WHERE owner")
    return [guarded.stack.sql(f"SELECT COUNT(*) FROM {table} = %s", actor)[0][0] for table in tables]


@pytest.mark.slow
def test_schemathesis_finds_no_failure(servers: tuple[Database, RedisServer], tmp_path: Path) -> None:
    environment = {
        # Workers run so slowly that tasks of ten million records do not fill the disk.
        "PAUSE_MS": "300",
        "DJANGO_SETTINGS_MODULE": "settings.production",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "HTTPS_ONLY": "0",
        "RATE_LIMIT_PER_ADDRESS": "0",  # all requests without a valid token come from one address
    }
    with make_guarded(servers, environment=environment) as guarded:
        stack = guarded.stack
        known = start_tasks(guarded, token=guarded.make_token("carol")[1], description=FOREIGN_MARK)
        known += start_tasks(guarded, token=guarded.bob)
        stack.wait_for(
            lambda: len(find_owners(guarded)) == 6, deadline_seconds=60, what="the mirror has written all tasks"
        )
        done = count_acts(guarded, OWNERS["read"])
        tokens = {
            "read": guarded.make_token(OWNERS["read"], scope="read")[1],
            "write": guarded.ann,
            "admin": guarded.admin,
        }
        running = {
            scope: start_fuzzing(guarded, scope=scope, token=token, known=known, directory=tmp_path / scope)
            for scope, token in tokens.items()
        }
        try:
            codes = {scope: process.wait(timeout=SECONDS * 3 + 300) for scope, process in running.items()}
        finally:
            for process in running.values():
                process.kill()
        outputs = {scope: (tmp_path / scope / "output").read_text() for scope in OWNERS}
        for scope, output in outputs.items():
            print(f"--- {scope}\n{output}")
        failed = [scope for scope, code in codes.items() if code != 0]
        assert not failed, "".join(outputs[scope] for scope in failed) + f"\n--- web\n{stack.log_tail('web')}"
        assert "Traceback" not in stack.log_path("web").read_text()
        assert count_acts(guarded, OWNERS["read"]) == done, "the read token has changed something"
        owners = find_owners(guarded)
        for scope in ("read", "write"):
            file = tmp_path / scope / "seen"
            if SECONDS < LONG_SECONDS and not file.exists():
                continue  # the time was too short for an example
            seen = {task_id.replace("-", "") for task_id in file.read_text().split()}
            whose = {owners.get(task_id, OWNERS["write"]) for task_id in seen}
            print(f"the token of scope {scope} has seen {len(seen)} tasks of {len(owners)}, of {whose}")
            assert whose == {OWNERS[scope]}

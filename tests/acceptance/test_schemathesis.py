"""schemathesis against the live stack with the production settings: every operation, all its checks; 0 failures.

Three at once, with tokens of scope read, write and admin of different owners. Beside schemathesis's own checks (no 5xx,
answers as the schema says, authentication, methods, sequences) those of fuzz_checks.py run, and the database is asked
afterwards. Short here; `make fuzz` gives it FUZZ_SECONDS (600). What fails comes with the request as a curl command.
"""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import Guarded, make_guarded
from tests.servers import Database, RedisServer

SECONDS = int(os.environ.get("FUZZ_SECONDS", "8"))
OWNERS = {"read": "bob", "write": "ann", "admin": "root"}
FOREIGN_MARK = "a task of carol's"
# 422: no schema can say that an Idempotency-Key was used before.
CONFIGURATION = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 422, 429, "5xx"]

[dictionaries.tasks]
values = {tasks}

[parameters]
"path.id" = {{ dictionary = "tasks", probability = 0.3 }}
"""


def start_fuzzing(guarded: Guarded, *, scope: str, foreign: list[str], directory: Path) -> subprocess.Popen[str]:
    """Start schemathesis with a token of this scope; its output goes to a file in `directory`."""
    directory.mkdir()
    (directory / "schemathesis.toml").write_text(CONFIGURATION.format(tasks=json.dumps(foreign)))
    token = guarded.make_token(OWNERS[scope], scope=scope)[1]
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
            cwd=directory,  # where it keeps its database of examples
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


def start_foreign_tasks(guarded: Guarded) -> list[str]:
    """Tasks of an owner whom none of the three tokens belongs to: ended ones, and one that goes on."""
    carol = guarded.make_token("carol")[1]
    bodies = [
        {"name": "upload", "description": FOREIGN_MARK, "params": {"numRecords": count}} for count in (1, 2, 9_000_000)
    ]
    return [guarded.stack.post("/tasks", body, headers=carol).json["id"] for body in bodies]


@pytest.mark.slow
def test_it_finds_nothing(servers: tuple[Database, RedisServer], tmp_path: Path) -> None:
    environment = {
        # Workers that run, but so slowly that tasks of ten million records fill no disk.
        "PAUSE_MS": "300",
        "DJANGO_SETTINGS_MODULE": "settings.production",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "HTTPS_ONLY": "0",
    }
    with make_guarded(servers, environment=environment) as guarded:
        stack = guarded.stack
        foreign = start_foreign_tasks(guarded)
        running = {
            scope: start_fuzzing(guarded, scope=scope, foreign=foreign, directory=tmp_path / scope) for scope in OWNERS
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
        check_owners(guarded, tmp_path)
        # The read token's owner has done nothing at all.
        for table in ("tasks_app_taskevent", "tasks_app_auditentry"):
            assert stack.sql(f"SELECT COUNT(*) FROM {table} WHERE actor = %s", OWNERS["read"]) == [(0,)], table
        assert stack.sql("SELECT COUNT(*) FROM tasks_app_taskrecord WHERE owner = %s", OWNERS["read"]) == [(0,)]


def check_owners(guarded: Guarded, directory: Path) -> None:
    """Each task that an answer to the token of scope read or write held is its owner's."""
    mine = {
        str(row[0]).replace("-", "")
        for row in guarded.stack.sql("SELECT id FROM tasks_app_taskrecord WHERE owner = %s", OWNERS["write"])
    }
    others = {
        str(row[0]).replace("-", "")
        for row in guarded.stack.sql("SELECT id FROM tasks_app_taskrecord WHERE owner <> %s", OWNERS["write"])
    }
    seen = {task_id.replace("-", "") for task_id in (directory / "write" / "seen").read_text().split()}
    print(f"{len(seen)} tasks seen with the write token, {len(mine)} of its owner's, {len(others)} of others'")
    assert seen & mine, "the write token saw none of its own tasks: nothing was tried"
    assert not seen & others
    assert not (directory / "read" / "seen").exists(), "the read token saw a task; its owner has none"

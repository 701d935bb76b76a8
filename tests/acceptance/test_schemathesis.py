"""schemathesis against the live stack: every operation, all its checks, stateful too; 0 failures.

Short here; `make fuzz` gives it FUZZ_SECONDS (600). What fails comes with the request as a curl command.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import make_guarded
from tests.servers import Database, RedisServer

# 422: no schema can say that an Idempotency-Key was used before.
CONFIGURATION = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 422, 429, "5xx"]
"""
SECONDS = int(os.environ.get("FUZZ_SECONDS", "8"))


@pytest.mark.slow
def test_it_finds_nothing(servers: tuple[Database, RedisServer], tmp_path: Path) -> None:
    # Workers that run, but so slowly that tasks of ten million records fill no disk.
    environment = {"PAUSE_MS": "300"}
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    with make_guarded(servers, environment=environment) as guarded:
        stack = guarded.stack
        result = subprocess.run(
            [
                *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{stack.address}/schema"),
                *("--header", f"Authorization: {guarded.admin['Authorization']}"),
                *("--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"),
                *("--max-time", str(SECONDS), "--continue-on-failure", "--workers", "2"),
                # ?wait= may take a minute.
                *("--request-timeout", "70", "--max-response-time", "65", "--suppress-health-check", "all"),
            ],
            cwd=tmp_path,  # where it keeps its database of examples
            env={**stack.environment, "NO_COLOR": "1", "COLUMNS": "160"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS * 3 + 300,
            check=False,
        )
        print(result.stdout)
        assert result.returncode == 0, f"{result.stdout}\n--- web\n{stack.log_tail('web')}"
        assert "Traceback" not in stack.log_path("web").read_text()

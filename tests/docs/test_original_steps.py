"""docs/original-steps.md: the document's commands beside ours; each of ours is run, and prints what the page shows."""

import re
import shlex
import subprocess
from collections.abc import Generator
from typing import Any

import pytest

from loadtests.started.servers import Database, MariaDB
from loadtests.started.stack import ProcfileStack
from settings.env import ROOT

TEXT = (ROOT / "docs" / "original-steps.md").read_text(encoding="utf-8")
SEED = (
    "dist/scripts/uploadTables.js db/sql/init.sql",
    "dist/scripts/uploadTables.js db/sql/test_context.sql",
    "dist/workers/workerServer.js num_workers milliseconds",
    "dist/scripts/generateFakeData.js",
    "artillery run scripts/load-test.yaml",
    "pm2 start config/pm2.config.js",
    "npm start",
    "npm dev",
    "npm install",
)
STEPS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in TEXT.splitlines()
    if line.startswith("| ") and not line.startswith("| the document")
]
SHOWN_BY = {
    "make reload",
    "make load-artillery",
    "make load-test",
    "make up",
    "make dev",
    "make demo",
}  # tested elsewhere, or serves


def codes(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


@pytest.fixture(scope="module")
def place(servers: tuple[Database, Any]) -> Generator[ProcfileStack, None, None]:
    """An empty database; no process runs."""
    stack = ProcfileStack(database=servers[0], redis_server=servers[1])
    stack.database.create_database(stack.database_name)
    with stack.redis() as client:
        client.flushdb()
    try:
        yield stack
    finally:
        stack.close()


def test_every_step_of_the_document_has_its_counterpart() -> None:
    theirs = " ".join(step[0] for step in STEPS)
    assert [words for words in SEED if words not in theirs] == []
    assert all(len(step) == 3 and step[1] for step in STEPS)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step[0])
def test_each_command_runs_and_prints_what_the_page_says(step: list[str], place: ProcfileStack) -> None:
    _, here, seen = step
    printed = ""
    for command in codes(here):
        if command.startswith("make manage"):
            printed += run_make_manage(place, command)
        elif command.startswith("make"):
            assert command in SHOWN_BY
            subprocess.run(["make", "-n", *command.split()[1:]], cwd=ROOT, check=True, capture_output=True, timeout=60)
        elif command.startswith("mariadb"):
            load(place, command)
        elif command.startswith("cp"):
            assert (ROOT / command.split()[1]).exists()
    for command in codes(seen):
        if command.startswith("make manage"):
            run_make_manage(place, command, may_fail="doctor" in command)  # doctor reports that no worker runs
        elif printed:
            assert as_pattern(command).search(printed), printed


def run_make_manage(place: ProcfileStack, command: str, *, may_fail: bool = False) -> str:
    """Run the command as `make manage` would; if it serves, check it and stop it."""
    words = shlex.split(shlex.split(command.partition("ARGS=")[2])[0])
    if words[0] == "workers":
        place.start_role("worker", command=f"python manage.py {shlex.join(words)}")
        count = int(words[1])
        with place.redis() as client:
            place.wait_for(lambda: client.scard("rq:workers") == count, deadline_seconds=60, what=f"{count} workers")
        place.stop_role("worker")
        return ""
    done = place.run_manage(*words)
    assert may_fail or done.returncode == 0, done.stdout
    return done.stdout


def load(place: ProcfileStack, command: str) -> None:
    """Load a script into a new database, as a DBA does; later rows of the page use it."""
    if not isinstance(place.database, MariaDB):
        return
    words, _, script = command.partition(" < ")
    assert words == "mariadb --database longtasks"
    if script.endswith("init.sql"):
        place.database.create_database(place.database_name)
    with (ROOT / script).open("rb") as text:
        subprocess.run(
            ["mariadb", "--no-defaults", f"--socket={place.database.socket_path}", "-uroot", place.database_name],
            stdin=text,
            check=True,
            timeout=60,
        )


def as_pattern(text: str) -> re.Pattern[str]:
    """Return a pattern of the shown output with any numbers."""
    return re.compile(re.sub(r"\d+", r"\\d+", re.escape(text)))

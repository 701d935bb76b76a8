"""`make dev`: the stack of `make up`, restarted with the new code when a file of the project changes."""

import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from loadtests.started.stack import ProcfileStack
from settings.env import ROOT
from tasks_app.process_monitor import reports
from tests.conftest import MakeStack

CODE = ("longtasks", "settings", "tasks_app", "catalog")


def copy_project(target: Path) -> Path:
    """A copy of the code, run by the same Python."""
    for name in CODE:
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("manage.py", "Procfile"):
        shutil.copy2(ROOT / name, target / name)
    (target / ".venv").symlink_to((ROOT / ".venv").resolve())
    return target


def read_command() -> str:
    """Run what `make dev` runs; make itself would print further lines under `make test`."""
    printed = subprocess.run(
        ["make", "--no-print-directory", "-n", "dev"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return printed.stdout.strip().splitlines()[-1]


def entries(stack: ProcfileStack) -> dict[str, Any]:
    with stack.redis() as client:
        return {f"{each.entry.kind} {each.entry.slot}": each.entry for each in reports.list_processes(client)}


@pytest.mark.slow
def test_all_processes_run_the_new_code_after_a_change_and_end_with_ctrl_c(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    stack = make_stack(workers=1, environment={"WEB_WORKERS": "1"})
    for role in ("worker", "mirror", "web"):
        stack.stop_role(role)
    copy = copy_project(tmp_path)
    stack.start_role("dev", command=f"sh -c {shlex.quote(f'cd {shlex.quote(str(copy))}; exec env {read_command()}')}")
    kinds = {f"{kind} 0" for kind in reports.KINDS}
    # `up` restarts an ended process only after web has answered; before that it gives up.
    stack.wait_for(
        lambda: stack.get("/health/live").status == 200 and set(entries(stack)) == kinds,
        deadline_seconds=90,
        what=lambda: f"web answers, and all report: {entries(stack)}",
    )
    before = entries(stack)

    os.kill(before["mirror 0"].pid, signal.SIGKILL)
    # The entry of the killed mirror may expire before that of the next one exists.
    stack.wait_for(
        lambda: getattr(entries(stack).get("mirror 0"), "pid", before["mirror 0"].pid) != before["mirror 0"].pid,
        deadline_seconds=60,
        what=lambda: f"a new mirror: {entries(stack)}",
    )
    mirror = entries(stack)["mirror 0"]
    assert (mirror.restarts, mirror.last_exit) == (1, "SIGKILL")  # the parent has reported it

    base = copy / "settings" / "base.py"
    base.write_text(base.read_text().replace('"VERSION": "1.0.0"', '"VERSION": "9.9.9"'))

    def all_new() -> bool:
        now = entries(stack)
        return set(now) == kinds and all(each.version.startswith("9.9.9+") for each in now.values())

    stack.wait_for(all_new, deadline_seconds=120, what=lambda: f"all run the new code: {entries(stack)}")
    after = entries(stack)
    assert all(after[name].pid != before[name].pid for name in kinds)
    assert stack.get("/health/live").status == 200

    os.kill(stack.parent_pid("dev"), signal.SIGINT)
    stack.wait_for(lambda: not stack.pids("dev"), deadline_seconds=60, what="all processes have ended")

"""tasks_app/engine/descendants.py: child processes that a task leaves are killed, named and reaped."""

import subprocess
from pathlib import Path

import pytest

from longtasks.local_stack import child_process
from tasks_app.engine import descendants
from tasks_app.engine.leftovers import ProcessState
from tests.engine.clean_process import _as_before  # noqa: F401 (fixture)


@pytest.fixture
def _orphans_come_to_us() -> None:
    descendants.adopt_orphans()


@pytest.mark.usefixtures("_orphans_come_to_us")
def test_children_are_killed_and_named_and_zombies_reaped() -> None:
    kept = subprocess.Popen(["sleep", "600"])
    before = descendants.list_children()
    assert kept.pid in before
    try:
        state = ProcessState()
        left = subprocess.Popen(["sleep", "600"])
        zombie = subprocess.Popen(["true"])
        child_process.wait_until(lambda: _status(zombie.pid) == "Z", deadline_seconds=10)

        leftovers = state.restore()

        assert leftovers.found == (f"child processes, killed now: [{left.pid}]",)
        assert not leftovers.must_retire
        assert descendants.list_children() == before
        assert kept.poll() is None
        left.returncode = zombie.returncode = 0  # they are already reaped, which Popen cannot know
    finally:
        kept.kill()
        kept.wait()


@pytest.mark.usefixtures("_orphans_come_to_us")
def test_a_daemonised_grandchild_is_killed_too(tmp_path: Path) -> None:
    before = descendants.list_children()
    state = ProcessState()
    script = f"(setsid sh -c 'sleep 600 & echo $! > {tmp_path}/pid; wait' &)"
    subprocess.run(["sh", "-c", script], check=True)
    pid_file = tmp_path / "pid"
    assert child_process.wait_until(lambda: pid_file.exists() and pid_file.read_text().strip(), deadline_seconds=10)

    [found] = state.restore().found

    assert "killed now" in found
    assert _status(int(pid_file.read_text())) == ""
    assert descendants.list_children() == before


def _status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""

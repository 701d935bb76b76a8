"""Full disks under DATA_DIR and under the log: web continues to answer, and none of its processes ends."""

import os
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.conftest import MakeStack


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path, None, None]:
    """A file system of 4 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True, check=False, text=True
    )
    if mounted.returncode:
        pytest.skip(f"mounting a file system needs root: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> None:
    with (disk / "log").open("ab", buffering=0) as file:
        for size in (1 << 16, 4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


@pytest.mark.parametrize("when", ["before the start", "later"])
def test_web_answers_while_the_disk_of_data_dir_is_full(make_stack: MakeStack, small_disk: Path, when: str) -> None:
    data = small_disk / "data"
    data.mkdir()
    if when == "before the start":
        (data / "metrics").mkdir()
        fill(small_disk)
    stack = make_stack(roles=["web"], environment={"DATA_DIR": str(data), "WEB_WORKERS": "2"})
    if when == "later":
        fill(small_disk)
    pids = stack.child_pids("web")
    for _ in range(5):  # each new label takes space in the metrics files
        for path, wanted in (
            ("/health/live", 200),
            ("/tasks", 200),
            ("/queues", 200),
            ("/metrics", 200),
            ("/nowhere", 404),
        ):
            answer = stack.get(path)
            assert answer.status == wanted, f"{path}: {answer}\n{stack.log_tail('web')}"
        assert stack.post("/tasks", {"name": "upload", "params": {"numRecords": 1}}).status == 201
    assert stack.child_pids("web") == pids, "processes have ended"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full exists on Linux only")
def test_web_answers_while_its_log_cannot_be_written(make_stack: MakeStack) -> None:
    stack = make_stack(roles=["web"], environment={"LOG_LEVEL": "DEBUG"})
    stack.stop_role("web")
    stack.log_path("web").unlink()
    stack.log_path("web").symlink_to("/dev/full")
    stack.ensure_running()
    pids = stack.child_pids("web")
    for _ in range(20):
        assert stack.get("/tasks").status == 200
        assert stack.post("/tasks", {"name": "upload", "params": {"numRecords": 1}}).status == 201
        assert stack.post("/tasks", {"name": "nothing"}).status in (400, 422)
    assert stack.child_pids("web") == pids

"""Each block of docs/your-first-task.md runs as it is printed, in a clean copy of the project."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from longtasks.local_stack.procfile import free_port
from settings.env import ROOT

PAGE = (ROOT / "docs" / "your-first-task.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
UP = "make up\n"
SECONDS = 300
# Whatever the copy needs is installed in this environment: make must not install it again.
INSTALLED = (
    " ".join(f"-o .venv/.{each}" for each in ("embedded", "full", "dev", "bench", "load")) + " -o .venv/bin/python"
)
pytestmark = pytest.mark.slow


class Copy:
    """A copy of the project, as a clone has it, and the stack that the page starts in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._up: subprocess.Popen[bytes] | None = None
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0"):
            if name and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        (folder / ".venv").symlink_to((ROOT / ".venv").resolve())
        kept = {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR"}
        self.environment = {name: value for name, value in os.environ.items() if name in kept} | {
            "MAKEFLAGS": INSTALLED,
            "PORT": str(self.port),
            "WORKERS": "2",
        }

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}"

    def run(self, script: str) -> str:
        """Run a block; return what it prints."""
        script = script.replace("http://localhost:3000", self.address)
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, f"{script}\n{ran.stdout[-4000:]}\n{ran.stderr[-4000:]}"
        return ran.stdout

    def start(self) -> None:
        """Start longtasks, and wait until it serves."""
        with (self.folder / "up.log").open("wb") as log:
            self._up = subprocess.Popen(
                ["make", "up"], cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        wait_for(lambda: urllib.request.urlopen(f"{self.address}/health/ready", timeout=5).status == 200)

    def stop(self) -> None:
        if self._up is not None:
            os.killpg(self._up.pid, signal.SIGINT)
            self._up.wait(60)


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            if found := condition():
                return found
        except (OSError, urllib.error.URLError):
            pass
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.2)


def write(path: Path, kind: str, block: str) -> None:
    """Write a block of Python to its file, or apply one that adds a line."""
    if kind == "python":
        assert path.parent.is_dir(), path
        path.write_text(block)
        return
    before = "".join(line[1:] for line in block.splitlines(keepends=True) if line[0] == " ")
    after = "".join(line[1:] for line in block.splitlines(keepends=True))
    assert path.read_text().count(before) == 1
    path.write_text(path.read_text().replace(before, after))


def file_of(block: str) -> str:
    """Return the file that the text before a block names."""
    return re.findall(r"`([\w/]+\.py)`", PAGE.partition(block)[0])[-1]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Generator[Copy, None, None]:
    made = Copy(tmp_path_factory.mktemp("clone"))
    yield made
    made.stop()


def get(opener: urllib.request.OpenerDirector, address: str, **fields: str) -> str:
    data = urllib.parse.urlencode(fields).encode() if fields else None
    with opener.open(urllib.request.Request(address, data=data, headers={"Referer": address}), timeout=20) as answer:
        text: str = answer.read().decode()
        return text


def log_in(copy: Copy) -> urllib.request.OpenerDirector:
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    page = f"{copy.address}/admin/login/?next=/admin/"
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', get(opener, page))
    assert token
    get(opener, page, username="ann", password="only-on-my-machine", csrfmiddlewaretoken=token[1], next="/admin/")
    return opener


def test_the_blocks_run_one_after_the_other(copy: Copy) -> None:
    printed: dict[str, str] = {}
    for kind, block in BLOCKS:
        if kind == "sh" and block == UP:
            copy.start()
        elif kind == "sh" and block.startswith("make manage") and "--wait" in block and "--max" not in block:
            with ThreadPoolExecutor(1) as pool:
                running = pool.submit(copy.run, block)
                percents = watch_dashboard(copy, running.done)
                printed[block] = running.result()
        elif kind == "sh":
            printed[block] = copy.run(block)
        else:
            write(copy.folder / file_of(block), kind, block)

    outputs = list(printed.values())
    [new] = [text for block, text in printed.items() if "task new" in block]
    assert "Wrote crm/task_types/normalise_phones.py\n" in new
    assert "make test-embedded ARGS=crm/test_normalise_phones.py" in new
    [tested] = [text for block, text in printed.items() if "test-embedded" in block]
    assert "3 passed" in tested
    first, last = [text for block, text in printed.items() if "task start" in block]
    assert "finished" in first
    assert "50,000 of 50,000 records" in first
    assert "1 failed records" in last
    started = json.loads(outputs[-2])
    task = wait_for(lambda: ended(copy, started["id"]))
    assert (task["status"], task["progress"]["done"]) == ("finished", 0)
    numbers = "from crm.models import Customer as C; print(C.objects.filter(phone_e164__startswith='+49171').count())"
    assert copy.run(f'.venv/bin/python manage.py shell -v 0 -c "{numbers}"').strip() == "50000"
    assert any(0 < percent < 100 for percent in percents)
    assert percents == sorted(percents)


def watch_dashboard(copy: Copy, has_ended: Callable[[], bool]) -> list[int]:
    """Return the progress of the task that the dashboard's list shows, again and again until it has ended."""
    dashboard = log_in(copy)
    seen = []
    while not has_ended():
        page = get(dashboard, f"{copy.address}/admin/tasks_app/taskrecord/")
        if found := re.search(r'<progress max="100" value="(\d+)"', page):
            seen.append(int(found[1]))
    return seen


def ended(copy: Copy, task_id: str) -> dict[str, Any] | None:
    with urllib.request.urlopen(f"{copy.address}/tasks/{task_id}", timeout=20) as answer:
        task: dict[str, Any] = json.load(answer)
    return task if task["status"] == "finished" else None


def test_the_page_and_the_readme_promise_the_same() -> None:
    assert "docs/your-first-task.md" in (ROOT / "README.md").read_text()
    assert [kind for kind, _ in BLOCKS].count("python") == 3

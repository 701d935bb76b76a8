"""longtasks/web.py starts the server that WEB_SERVER names, with the settings of both servers."""

import itertools
import os
import subprocess
import sys
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

from loadtests.started.stack import ProcfileStack
from longtasks.local_stack.procfile import free_port
from longtasks.web import granian_command, granian_environment, gunicorn_command
from settings.env import ROOT, load


def test_both_servers_serve_the_application_and_know_the_address() -> None:
    process = load(environment={"PORT": "4321", "BIND": "::1", "WEB_WORKERS": "3", "WEB_THREADS": "5"}).process
    command = granian_command(process)
    words = dict(itertools.pairwise(command))
    assert (words["--host"], words["--port"]) == ("::1", "4321")
    assert (words["--workers"], words["--blocking-threads"]) == ("3", "5")
    assert command[-1] == "longtasks.wsgi:application"
    assert gunicorn_command()[-1] == "longtasks.wsgi"
    with_socket = granian_command(load(environment={"BIND": "unix:/run/longtasks"}).process)
    assert dict(itertools.pairwise(with_socket))["--uds"] == "/run/longtasks/web.sock"
    assert "--host" not in with_socket


def test_granian_starts_with_empty_counters(tmp_path: Path) -> None:
    process = load(environment={"DATA_DIR": str(tmp_path), "PORT": "4321"}).process
    left_behind = tmp_path / "metrics" / "web-4321" / "counter_1.db"
    left_behind.parent.mkdir(parents=True)
    left_behind.touch()
    environment = granian_environment(process, {"A": "b"})
    assert environment == {"A": "b", "PROMETHEUS_MULTIPROC_DIR": str(left_behind.parent)}
    assert not left_behind.exists()


def test_an_invalid_value_ends_the_start_with_one_line() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "longtasks.web"],
        env={**os.environ, "WEB_SERVER": "apache"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == "longtasks: WEB_SERVER='apache' is refused: give GUNICORN or GRANIAN.\n"


@pytest.mark.skipif(find_spec("granian") is None, reason="requirements-granian.txt is not installed")
def test_granian_answers(stack: ProcfileStack, tmp_path: Path) -> None:
    address, port = "http://127.0.0.1", free_port()

    def all_started() -> bool:
        return stack.log_path("granian").read_text().count("Started worker-") >= 2

    stack.start_role(
        "granian", command=f"env WEB_SERVER=granian PORT={port} DATA_DIR={tmp_path} python -m longtasks.web"
    )
    try:
        stack.wait_for(lambda: is_live(f"{address}:{port}"), deadline_seconds=90, what="granian answers")
        # A granian process that gets the signal during its start ignores it.
        stack.wait_for(all_started, deadline_seconds=90, what="all its processes have started")
    finally:
        stack.stop_role("granian")
    stack.wait_for(lambda: not stack.pids("granian"), deadline_seconds=10, what="all its processes have ended")


def is_live(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health/live", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False

"""The launcher of web, and variables that have no effect any more."""

import os
import subprocess
import sys

import pytest

from longtasks.web import gunicorn_command
from settings.env import ROOT, load


def run_web(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "longtasks.web"],
        env={**os.environ, "ENV_FILE": "", **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_gunicorn_serves_the_asgi_application() -> None:
    assert gunicorn_command()[-1] == "longtasks.asgi"


def test_a_wrong_value_ends_the_start_with_one_line() -> None:
    ended = run_web(WEB_THREADS="0")
    assert ended.returncode == 1
    assert ended.stderr.startswith("longtasks: WEB_THREADS='0' is refused: ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (("STREAM_PORT",), "STREAM_PORT has no effect any more: "),
        (("WEB_SERVER", "STREAM_PORT"), "STREAM_PORT and WEB_SERVER have no effect any more: "),
        ((), ""),
    ],
)
def test_retired_variables_are_named_in_one_line_and_ignored(names: tuple[str, ...], line: str) -> None:
    loaded = load(environment=dict.fromkeys(names, "x"))
    assert loaded.retired.startswith(line)
    assert bool(loaded.retired) == bool(names)
    assert "\n" not in loaded.retired


def test_the_start_says_so() -> None:
    ended = run_web(STREAM_PORT="3001", PATH="")  # without gunicorn, it ends
    assert ended.stderr.splitlines()[0].startswith("longtasks: STREAM_PORT has no effect any more")

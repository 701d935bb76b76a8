"""A long-lived process with Django on the stack's stores, which runs commands and writes rows without a new start.

Run as `python -m tests.hostile.insider`, it answers lines of JSON. The class `Insider` is its client.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

from loadtests.started.stack import ProcfileStack
from longtasks.local_stack.procfile import PROJECT_DIR


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The result of a command: exit code, output, and the traceback that a shell would show."""

    code: int
    output: str
    traceback: str
    seconds: float


class Insider:
    """The client. Thread-safe: it makes one call after the other."""

    def __init__(self, stack: ProcfileStack) -> None:
        self._lock = threading.Lock()
        self._log = (stack.directory / "insider.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.insider"],
            env=stack.environment,
            cwd=PROJECT_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )

    def command(self, *arguments: str) -> CommandResult:
        """Run a management command as a shell would."""
        began = time.monotonic()
        answer = self._ask({"command": list(arguments)})
        return CommandResult(answer["code"], answer["output"], answer["traceback"], time.monotonic() - began)

    def create(self, model: str, rows: Sequence[dict[str, Any]]) -> str:
        """Write rows of a model of tasks_app by hand; return the error, or an empty text."""
        return str(self._ask({"model": model, "rows": list(rows)})["traceback"])

    def make_user(self, name: str) -> None:
        self._ask({"user": name})

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            if pipe:
                pipe.close()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        with self._lock:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        return dict(json.loads(line)) if line else {"code": -1, "output": "", "traceback": "the process has ended"}


PASSWORD = "hostile"


def serve() -> None:
    """Answer questions until the end of the input."""
    import django

    answers = sys.stdout
    sys.stdout = sys.stderr
    django.setup()
    for line in sys.stdin:
        question = json.loads(line)
        answer: dict[str, Any] = {"code": 0, "output": "", "traceback": ""}
        try:
            if "command" in question:
                answer["code"], answer["output"] = _run(question["command"])
            elif "user" in question:
                from django.contrib.auth.models import User

                User.objects.create_superuser(question["user"], password=PASSWORD)
            else:
                from tasks_app import models

                for row in question["rows"]:
                    getattr(models, question["model"])(**row).save(force_insert=True)
        except BaseException:
            answer["code"], answer["traceback"] = 1, traceback.format_exc()[-2000:]
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _run(arguments: list[str]) -> tuple[int, str]:
    from django.core.management import get_commands, load_command_class

    # As for a pipe: text that cannot be encoded is an error.
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    errors = io.TextIOWrapper(output.buffer, encoding="utf-8", errors="backslashreplace", write_through=True)
    code = 0
    with redirect_stdout(output), redirect_stderr(errors):
        command = load_command_class(get_commands()[arguments[0]], arguments[0])
        try:
            command.run_from_argv(["manage.py", *arguments])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1 if end.code else 0
    return code, output.buffer.getvalue().decode(errors="replace")[-4000:]  # type: ignore[attr-defined]


if __name__ == "__main__":
    serve()

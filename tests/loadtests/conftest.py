"""Runs of k6 on a stub of the task API: the fixtures of the load tests' tests."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from loadtests.artillery_reader.plan import read_plan
from loadtests.k6 import SCRIPTS, K6Missing, find_k6
from tests.loadtests.stub_api import StubApi, running_stub

RUN_SECONDS = 180
CLEAN_ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name.lower()
    not in {"http_proxy", "https_proxy", "target", "rate", "duration", "out", "vus", "loadtests_allow_host"}
}


@dataclass(frozen=True, slots=True)
class Run:
    code: int
    stdout: str
    stderr: str
    report: dict[str, Any]

    @property
    def counters(self) -> dict[str, int]:
        return self.report["aggregate"]["counters"]

    @property
    def rates(self) -> dict[str, int]:
        return self.report["aggregate"]["rates"]


class LoadTests:
    """`python -m loadtests` as its users run it, with the stub as its target."""

    def __init__(self, *, directory: Path, api: StubApi) -> None:
        self.directory = directory
        self.api = api

    def write(self, script: Mapping[str, Any], *, name: str = "script.yaml") -> Path:
        path = self.directory / name
        path.write_text(yaml.safe_dump(dict(script), sort_keys=False))
        return path

    def run(self, *arguments: str | Path, **env: object) -> Run:
        out = self.directory / "out.json"
        out.unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "loadtests", *map(str, arguments), "--out", str(out)],
            env={**CLEAN_ENVIRONMENT, "TARGET": self.api.url, **{name: str(value) for name, value in env.items()}},
            cwd=SCRIPTS.parent,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        report = json.loads(out.read_text()) if out.exists() else {}
        return Run(code=done.returncode, stdout=done.stdout, stderr=done.stderr, report=report)

    def artillery(self, script: Mapping[str, Any], **env: object) -> Run:
        return self.run("artillery", self.write(script), **env)

    def plan(self, *files: Path) -> dict[str, Any]:
        """Return the k6 scenarios of an Artillery file; nothing is sent."""
        done = inspect_plan(*files, directory=self.directory)
        done.check_returncode()
        return json.loads(done.stdout)["scenarios"]


def inspect_plan(*files: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    """Let k6 plan an Artillery file, whatever its exit code; nothing is sent."""
    plan = directory / "plan.json"
    plan.write_text(json.dumps(read_plan(files).script))
    return subprocess.run(
        [find_k6(), "inspect", "--include-system-env-vars", str(SCRIPTS / "artillery.js")],
        env={**CLEAN_ENVIRONMENT, "PLAN": str(plan)},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


@pytest.fixture
def api() -> Iterator[StubApi]:
    with running_stub() as api:
        yield api


@pytest.fixture
def load_tests(tmp_path: Path, api: StubApi) -> LoadTests:
    try:
        find_k6()
    except K6Missing as missing:
        pytest.skip(str(missing))
    return LoadTests(directory=tmp_path, api=api)

"""The Postman collection, run by newman against live stacks: an open one, as on a developer's machine, and a guarded one."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from loadtests.started.stack import ProcfileStack
from longtasks.local_stack.procfile import PROJECT_DIR
from tests.acceptance.conftest import Guarded

pytestmark = [pytest.mark.newman, pytest.mark.slow]
NEWMAN = "newman@6.2.2"
POSTMAN = PROJECT_DIR / "docs" / "postman"
COLLECTION = POSTMAN / "longtasks.postman_collection.json"
ENVIRONMENT = POSTMAN / "longtasks.postman_environment.json"


@pytest.fixture(scope="session")
def newman() -> Path:
    """newman, from a cache outside the tree; installed there the first time."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed: the Postman collection is not run")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "longtasks" / NEWMAN
    program = cache / "node_modules" / ".bin" / "newman"
    if not program.exists():
        try:
            installed = subprocess.run(
                [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(cache), NEWMAN],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
        except subprocess.TimeoutExpired:  # a network that drops all packets
            pytest.skip(f"npm could not install {NEWMAN} in five minutes")
        if installed.returncode:
            pytest.skip(f"npm could not install {NEWMAN}: {installed.stderr.strip()[-200:]}")
    return program


def run(newman: Path, address: str, tmp_path: Path, *, token: str) -> None:
    report = tmp_path / "report.json"
    ran = subprocess.run(
        [
            *(str(newman), "run", str(COLLECTION), "--environment", str(ENVIRONMENT)),
            *("--env-var", f"baseUrl={address}", "--env-var", f"token={token}"),
            *("--reporters", "cli,json", "--reporter-json-export", str(report), "--color", "off"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    stats = json.loads(report.read_text())["run"]["stats"]
    requests = sum(len(folder["item"]) for folder in json.loads(COLLECTION.read_text())["item"])
    assert stats["requests"]["total"] >= requests
    assert stats["assertions"]["total"] > requests
    assert stats["assertions"]["failed"] == 0


def test_the_collection_passes_on_an_open_api(newman: Path, stack: ProcfileStack, tmp_path: Path) -> None:
    run(newman, stack.address, tmp_path, token="")


def test_the_collection_passes_with_a_token(newman: Path, guarded: Guarded, tmp_path: Path) -> None:
    run(newman, guarded.stack.address, tmp_path, token=guarded.ann["Authorization"].removeprefix("Bearer "))

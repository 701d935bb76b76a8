"""Tests marked `alone`, in real xdist runs of two processes."""

import os
import subprocess
import sys
from pathlib import Path

from settings.env import ROOT

ALONE_SECONDS = 1.0  # in which a test that may run beside it would begin
ORDINARY = """
import os, pathlib, pytest
LOG = pathlib.Path(os.environ["TEST_LOG"])

@pytest.mark.parametrize("number", range(200))
def test_ordinary(number):
    with LOG.open("a") as log:
        log.write("ordinary\\n")
"""
ALONE = f"""
import os, pathlib, time, pytest
LOG = pathlib.Path(os.environ["TEST_LOG"])

@pytest.mark.alone
def test_alone():
    with LOG.open("a") as log:
        log.write("alone begins\\n")
    deadline = time.monotonic() + {ALONE_SECONDS}
    while time.monotonic() < deadline and LOG.read_text().endswith("alone begins\\n"):
        time.sleep(0.01)
    with LOG.open("a") as log:
        log.write("alone ends\\n")
"""


def run(directory: Path, *options: str) -> list[str]:
    """Run both files in two processes, and return the lines that their tests wrote."""
    (directory / "test_a.py").write_text(ORDINARY)
    (directory / "test_b.py").write_text(ALONE)
    (directory / "pytest.ini").write_text("[pytest]\n")
    log = directory / "log"
    log.touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-p", "tests.exclusive_tests"),
            *("-p", "no:django", "-p", "no:cacheprovider", *options, str(directory)),
        ],
        cwd=directory,
        env=environment | {"PYTHONPATH": str(ROOT), "TEST_LOG": str(log), "TMPDIR": str(directory)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(directory.glob("longtasks-run-*")) == [], "the locks are removed"
    return log.read_text().splitlines()


def test_no_test_runs_beside_one_that_runs_alone(tmp_path: Path) -> None:
    lines = run(tmp_path)
    assert lines.count("ordinary") == 200
    assert lines[lines.index("alone begins") + 1] == "alone ends"

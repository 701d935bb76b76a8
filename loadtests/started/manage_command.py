"""Runs `manage.py` in a process of its own, with the environment that it is given."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from longtasks.local_stack.procfile import PROJECT_DIR


def run_manage(
    *arguments: str,
    environment: Mapping[str, str],
    timeout_seconds: float = 120,
    stderr: int = subprocess.PIPE,
    project_directory: Path = PROJECT_DIR,
) -> subprocess.CompletedProcess[str]:
    """Run a management command to its end, whatever its exit code."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env=dict(environment),
        cwd=project_directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )

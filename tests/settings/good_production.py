"""Settings that production accepts, and a start with them."""

import os
import subprocess

from loadtests.started.manage_command import run_manage

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

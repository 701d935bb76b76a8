"""Settings that production accepts, and a start with them."""

import os
import subprocess
import sys

from settings.env import ROOT

GOOD_PRODUCTION = {
    "SECRET_KEY": "s3cr-" * 12,
    "ALLOWED_HOSTS": "longtasks.example.com",
    "DATABASE_URL": "sqlite:////nowhere/longtasks.sqlite3",
    "REDIS_URL": "redis://localhost:6379/0",
}


def import_settings(module: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`manage.py` with nothing but these variables: ends with the settings' refusal or 0."""
    return subprocess.run(
        [sys.executable, "manage.py", "diffsettings", "--output", "unified"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": module, "ENV_FILE": "", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

"""A copy of examples/shop outside of the repository, with an environment that has tasks_app from the wheel alone.

Owns the copy, the environment and the settings of a project that differs from ours wherever it may. Must not start a server.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

from settings.env import ROOT

SETTINGS: Final = '''"""Settings unlike ours, of the same names where other projects have such names too."""
from shop.settings import *

INSTALLED_APPS = [*INSTALLED_APPS, "rest_framework", "django_rq", "accounts"]
AUTH_USER_MODEL = "accounts.Account"
MIDDLEWARE = [*MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
DATABASES = {"default": {
    "ENGINE": "django.db.backends.mysql", "NAME": os.environ["SHOP_DATABASE"], "USER": "root", "ATOMIC_REQUESTS": True,
    "OPTIONS": {"unix_socket": os.environ["SHOP_SOCKET"], "init_command": "SET time_zone = '+05:30'"},
}}
TIME_ZONE, LANGUAGE_CODE = "Asia/Kolkata", "es"
ALLOWED_HOSTS = ["*"]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.BrowsableAPIRenderer"],
    "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.AcceptHeaderVersioning",
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"anon": "1/day"},
    "EXCEPTION_HANDLER": "nowhere.handler",
}
RQ_QUEUES = {"default": {"URL": os.environ["REDIS_URL"]}, "high": {"URL": "redis://nowhere:1/0"}}
RQ = {"WORKER_CLASS": "nowhere.Worker", "JOB_CLASS": "nowhere.Job"}
PORT, WORKERS, DATA_DIR, FILE_DIR, API_OPEN, URL_PREFIX = "x", "many", "/nowhere", 1, "yes", object()
LONGTASKS = {**LONGTASKS, "LEASE_SECONDS": 2, "RESCUE_SECONDS": 0.5, "CHUNK_SECONDS": 0.02, "PAUSE_MS": 30}
'''
ACCOUNTS: Final = '''"""A user model of the project's own: no user name, no groups."""
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models


class Account(AbstractBaseUser):
    email = models.EmailField(unique=True)
    is_active = is_staff = True
    objects = BaseUserManager()
    USERNAME_FIELD = "email"

    def has_perm(self, perm, obj=None):
        return True

    def has_module_perms(self, app_label):
        return True
'''


def build_wheel(directory: Path) -> Path:
    """Build the wheel as `make wheel` does, and return its path."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    [wheel] = directory.glob("*.whl")
    return wheel


class ShopProject:
    """The shop in `directory`, with its own Python."""

    def __init__(self, directory: Path, *, wheel: Path, database: str, socket: Path, redis_url: str) -> None:
        self.path = directory / "shop"
        shutil.copytree(
            ROOT / "examples" / "shop", self.path, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3")
        )
        (self.path / "other_settings.py").write_text(SETTINGS)
        (self.path / "accounts").mkdir()
        (self.path / "accounts" / "__init__.py").touch()
        (self.path / "accounts" / "models.py").write_text(ACCOUNTS)
        self.python = _make_environment(directory / "venv", wheel=wheel)
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        self.environment = {
            **inherited,
            "DJANGO_SETTINGS_MODULE": "other_settings",
            "SHOP_DATABASE": database,
            "SHOP_SOCKET": str(socket),
            "REDIS_URL": redis_url,
        }

    def manage(self, *arguments: str) -> str:
        """Run a command of manage.py and return what it prints. Raises AssertionError if it fails."""
        ran = subprocess.run(
            [str(self.python), "manage.py", *arguments],
            cwd=self.path,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, f"{arguments}: {ran.stdout[-2000:]}{ran.stderr[-4000:]}"
        return ran.stdout


def _make_environment(directory: Path, *, wheel: Path) -> Path:
    """Make a virtual environment with the wheel. Other packages are those of the tests: nothing is downloaded.

    SHOP_PACKAGES names an environment that has all of them already (.ci/pythons), for another Python or Django.
    """
    if given := os.environ.get("SHOP_PACKAGES"):
        return Path(given) / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True, timeout=60)
    python = directory / "bin" / "python"
    [site_packages] = directory.glob("lib/python*/site-packages")
    install = ["-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([sys.executable, *install, str(wheel)], check=True, timeout=60)
    (site_packages / "packages_of_the_tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python

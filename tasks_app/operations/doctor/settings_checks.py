"""Checks settings and versions of packages.

Owns these checks. Must not change anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from tasks_app.conf import settings
from tasks_app.operations.doctor.findings import FAULT, OK, WARNING, Finding

_VERSIONS: Final = {
    "Django": (5, 2),
    "djangorestframework": (3, 15),
    "django-rq": (4, 0),
    "rq": (3, 0),
    "redis": (8, 0),
}


def get_settings_module() -> str:
    """Return DJANGO_SETTINGS_MODULE; `settings.SETTINGS_MODULE` is None while a test overrides settings."""
    return os.environ.get("DJANGO_SETTINGS_MODULE", "")


def check_settings() -> Iterator[Finding]:
    longtasks = settings.LONGTASKS
    module = get_settings_module()
    found = [f"{module}"]
    if longtasks.lease_seconds < 4 * longtasks.chunk_seconds or longtasks.lease_seconds < 2:
        yield Finding(
            FAULT,
            "settings: lease",
            f"LEASE_SECONDS={longtasks.lease_seconds:g} with CHUNK_SECONDS={longtasks.chunk_seconds:g}: "
            "a claim can expire while its worker is alive",
            "Set LEASE_SECONDS to at least 2, and to at least 4 times CHUNK_SECONDS.",
        )
    if longtasks.rescue_seconds > longtasks.lease_seconds:
        yield Finding(
            WARNING,
            "settings: rescue",
            f"RESCUE_SECONDS={longtasks.rescue_seconds:g} is longer than LEASE_SECONDS={longtasks.lease_seconds:g}",
            "Set RESCUE_SECONDS to 2. Otherwise tasks of dead workers are requeued later.",
        )
    if longtasks.crash_points:
        yield Finding(FAULT, "settings: failpoints", f"CRASH_POINTS={longtasks.crash_points}", "Unset CRASH_POINTS.")
    if longtasks.pause_ms:
        yield Finding(
            WARNING, "settings: pause", f"PAUSE_MS={longtasks.pause_ms} slows every task down", "Unset PAUSE_MS."
        )
    if settings.DEBUG and module.endswith("production"):
        yield Finding(FAULT, "settings: debug", "DEBUG is on in production", "Unset DEBUG.")
    yield Finding(OK, "settings", ", ".join(found))


def check_versions() -> Iterator[Finding]:
    for name, minimum in _VERSIONS.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            yield Finding(FAULT, "versions", f"{name} is not installed", "pip install -r requirements.txt")
            continue
        if tuple(int(part) for part in found.split(".")[:2]) < minimum:
            needed = ".".join(map(str, minimum))
            yield Finding(
                FAULT,
                "versions",
                f"{name} {found} is too old: version {needed} or newer is required",
                "pip install -r requirements.txt",
            )
    yield Finding(OK, "versions", f"Python {sys.version.split()[0]}, Django {version('Django')}, rq {version('rq')}")

"""The settings as tasks_app reads them: Django's, with those that a project gives in its dict `LONGTASKS` or not at all.

Owns where a setting comes from. The project `longtasks` builds all settings itself and gives LONGTASKS as an object;
then every name is Django's. In another project a name such as PORT or WORKERS may mean anything, so the names below are
never read from its settings. Must not judge a value (given_dict.py).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings as django_settings

from tasks_app.conf.cores import count_cores
from tasks_app.conf.given_dict import read_dict
from tasks_app.conf.longtasks import Longtasks
from tasks_app.conf.redis import connection_settings

__all__ = ["ProjectSettings", "changed", "derive", "is_embedded", "settings"]

# The only function that jobs other than tasks may call: anyone who can write to Redis could name any function.
ALLOWED_FUNCTIONS: Final = frozenset({"tasks_app.pruning.run_scheduled"})


def is_embedded() -> bool:
    """Return whether tasks_app is installed in a project that is not ours."""
    return not isinstance(getattr(django_settings, "LONGTASKS", None), Longtasks)


def changed(**values: Any) -> Any:
    """Return LONGTASKS with some values changed, for a test's `override_settings`."""
    given = getattr(django_settings, "LONGTASKS", None)
    if isinstance(given, Longtasks):
        return dataclasses.replace(given, **values)
    return {**(given or {}), **{name.upper(): value for name, value in values.items()}}


def derive(given: Any) -> dict[str, Any]:
    """Return the settings of a project that gives this LONGTASKS, or None. Raises ImproperlyConfigured."""
    longtasks, installation = read_dict(given)
    base_dir = Path(getattr(django_settings, "BASE_DIR", None) or Path.cwd())
    data_dir = base_dir / installation.data_dir
    connection = connection_settings(
        url=longtasks.redis_url,
        sentinels=longtasks.redis_sentinels,
        master_name=longtasks.redis_master_name,
        sentinel_username=longtasks.redis_sentinel_username,
        sentinel_password=longtasks.redis_sentinel_password,
        timeout_seconds=longtasks.redis_timeout_seconds,
    )
    return {
        "LONGTASKS": longtasks,
        "RQ_QUEUES": dict.fromkeys(longtasks.queues, connection),
        "RQ_ALLOWED_FUNCTIONS": ALLOWED_FUNCTIONS,
        "API_OPEN": installation.api_open,
        "FORWARDED_ALLOW_IPS": installation.forwarded_allow_ips,
        "WORKERS": installation.workers or count_cores(),
        "BASE_DIR": base_dir,
        "DATA_DIR": data_dir,
        "FILE_DIR": data_dir / "files",
        # The project's own server; only the doctor and the names of shared files ask.
        "WEB_WORKERS": 1,
        "WEB_THREADS": 1,
        "PORT": 0,
    }


class ProjectSettings:
    """Reads like `django.conf.settings`."""

    _given: Any = ()  # the value of LONGTASKS from which `_derived` was made
    _derived: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        given = getattr(django_settings, "LONGTASKS", None)
        if not isinstance(given, Longtasks):
            if given is not self._given:
                self._derived, self._given = derive(given), given
            if name in self._derived:
                return self._derived[name]
        return getattr(django_settings, name)


if TYPE_CHECKING:
    from django.conf import settings
else:
    settings = ProjectSettings()

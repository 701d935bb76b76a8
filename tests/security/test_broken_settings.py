"""An invalid setting ends every start with one line that contains no part of a secret."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from settings.database import database_settings, replica_settings
from settings.env import ROOT, list_variables, load
from tasks_app.conf.redis import connection_settings
from tests.security.marks import MARKED, ODD, Marks
from tests.settings.good_production import GOOD_PRODUCTION

# {0} is a secret with odd characters, {1} one of letters; in the forms that users, templates and programs write.
ANY_FORMS = ("{1}", "{0}", "'{0}'", '"{0}"', "{1}\n{1}", "{1}\u00a0", "{1}\udcff", "{1}," * 3, "{1}=1", "{1}" * 200)
URL_FORMS = (
    "{scheme}://user:{0}@host/x", "{scheme}://:{0}@host:1/0", "{scheme}://{0}", "{scheme}://{0}@", "{scheme}://user:{1}@/",
    "{scheme}://user:{1}/{1}@host/x", "{scheme}://user:{1}#{1}@host/x", "{scheme}://user:{1}?{1}@host/x",
    "{scheme}://user:1/{1}@host/x", "{scheme}://user:{1}%@host/x", "{scheme}://user:{1}%ff@host/x",
    "{scheme}://user:{1}@[host/x", "{scheme}://user:{1}]@[::1/x", "{scheme}://user@host:{1}/x", "{scheme}://user@{1}:99999/x",
    "{scheme}://host/x?{1}", "{scheme}://host/x?{1}={1}", "{scheme}://host/0?password={1}", "{scheme}://host/{1}/{1}",
    "{scheme}://host/x?ssl_mode={1}&read_timeout={1}", "{scheme}://host/0?db={1}", "{scheme}://host/0?socket_timeout={1}",
    "{scheme}://user:{1}@one:x,two:1/x", "{scheme}:user:{1}@host/x", "{scheme}//user:{1}@host/x", "user:{1}@host/x",
    " {scheme}://user:{1} {1}@host/x", "http://user:{1}@host/x", "{scheme}://us\u00e9r:{1}\u2100@host/x", "{1}://host",
)  # fmt: skip
SCHEMES = {
    "DATABASE_URL": ("mysql", "mariadb", "sqlite"), "DATABASE_READ_URL": ("mysql",), "REDIS_URL": ("redis", "rediss", "unix"),
}  # fmt: skip
STARTS = (
    ["manage.py", "check"], ["manage.py", "workers", "1"], ["manage.py", "mirror"], ["manage.py", "webhooks"],
    ["manage.py", "rqcron", "longtasks.cron"], ["manage.py", "rqworker", "low"],
    ["manage.py", "doctor"], ["manage.py", "migrate"], ["manage.py", "up"], ["manage.py", "task", "status", "1"],
    ["-m", "longtasks.web"], ["-m", "gunicorn", "-c", "longtasks/gunicorn.py", "longtasks.asgi"], ["-m", "settings"],
    ["-m", "longtasks.liveness_probe", "worker"], ["-c", "import longtasks.wsgi"],
)  # fmt: skip


def build(environment: dict[str, str]) -> None:
    """Build all settings from the variables, as a start does, in this process."""
    loaded = load(environment=environment)
    longtasks, process = loaded.longtasks, loaded.process
    database_settings(url=process.database_url, data_dir=Path("/nowhere"), local_infile=False)
    if process.database_read_url:
        replica_settings(url=process.database_read_url)
    connection_settings(
        url=longtasks.redis_url or "redis://host",
        sentinels=longtasks.redis_sentinels,
        master_name=longtasks.redis_master_name,
        sentinel_username=longtasks.redis_sentinel_username,
        sentinel_password=longtasks.redis_sentinel_password,
        timeout_seconds=1,
    )


@pytest.mark.parametrize("name", [each.name for each in list_variables()])
def test_no_refusal_repeats_a_secret(name: str) -> None:
    """Also if a secret is in the wrong variable."""
    marks = Marks()
    odd, plain = marks.make("odd", odd=ODD), marks.make("plain")
    forms = [
        *ANY_FORMS,
        *(form.replace("{scheme}", each) for form in URL_FORMS for each in SCHEMES.get(name, ("redis",))),
    ]
    refusals = 0
    for form in forms:
        try:
            build({name: form.replace("{0}", odd).replace("{1}", plain)})
        except ImproperlyConfigured as error:
            said = str(error)
        else:
            continue
        refusals += 1
        assert not marks.find({f"the refusal of {form}": said})
        assert "\n" not in said, form
        assert name in said or name.removesuffix("_URL") in said, form
    assert refusals, "no form was refused: nothing was tried"


def test_every_variable_that_holds_a_url_is_tried_with_its_schemes() -> None:
    urls = {each.name for each in list_variables() if each.name.endswith("_URL")}
    assert urls == set(SCHEMES), "give the schemes of a new URL"
    assert urls <= set(MARKED)


SETTINGS = (
    "DATABASE_URL=mysql://user:{1}/{1}@host/x", "DATABASE_URL=mysql://user:1/{1}@host/x", "REDIS_URL=redis://:{1}#{1}@host/0",
    "REDIS_URL=redis://:{1}@[host/0", "DATABSE_URL=mysql://user:{0}@host/x", "SECRET_KEY={1}",
)  # fmt: skip


def test_every_start_ends_with_one_line() -> None:
    """Each command that starts something, with one of the broken settings in turn."""
    marks = Marks()
    odd, plain = marks.make("odd", odd=ODD), marks.make("plain")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "DJANGO_SETTINGS_MODULE": "settings.production",
        "ENV_FILE": "",
        **GOOD_PRODUCTION,
    }

    def start(number: int) -> subprocess.CompletedProcess[bytes]:
        name, _, form = SETTINGS[number % len(SETTINGS)].partition("=")
        value = form.replace("{0}", odd).replace("{1}", plain)
        return subprocess.run(
            [sys.executable, *STARTS[number]],
            cwd=ROOT,
            env=environment | {name: value[:45] if name == "SECRET_KEY" else value},  # too short for production
            capture_output=True,
            timeout=120,
            check=False,
        )

    with ThreadPoolExecutor(2) as pool:
        for words, ended in zip(STARTS, pool.map(start, range(len(STARTS))), strict=True):
            assert ended.returncode != 0, words
            assert ended.stdout == b"", words
            assert ended.stderr.count(b"\n") == 1, (words, ended.stderr)
            assert not marks.find({str(words): ended.stderr})

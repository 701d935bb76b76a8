"""Settings: the file .env, URLs, addresses and names."""

import dataclasses
from contextlib import suppress

from django.core.exceptions import ImproperlyConfigured

from longtasks.http import debug_pages, page_middleware
from settings import database as database_settings
from settings import env, env_file
from tasks_app.auth import owner_names
from tasks_app.conf import redis as redis_settings
from tasks_app.conf import service_url, values
from tests.linearity import Case, repeat, texts
from tests.linearity_cases.calls import quietly


def _read_env_line(text: str) -> None:
    with suppress(env_file.RefusedFile):
        env_file._read_line(text.encode())


def settings_cases() -> list[Case]:
    """What operators may write by mistake: the start must end at once with one line."""
    units = ("x", " ", "\t", "#", " #", "\\\\", '\\"', "'", '"', "%", "%2", "@", ":", "/", ".", "1", ",")
    lines = {
        f"{name} {unit!r}": repeat(unit, before=before, after=after)
        for unit in units
        for name, before, after in (
            ("bare", "A=x", "x"),
            ("single", "A='", "'"),
            ("double", 'A="', '"'),
            ("name", "", "="),
        )
    }
    urls = {
        f"{place} {unit!r}": repeat(unit, before=before, after=after)
        for unit in units
        for place, before, after in (
            ("user", "redis://", "@h/0"), ("host", "redis://", ""), ("path", "redis://h/", ""), ("option", "redis://h?db=", ""),
        )
    }  # fmt: skip
    read_url = quietly(lambda url: redis_settings._parse_url(url, wants_host=True), ImproperlyConfigured)
    read_host = quietly(lambda text: service_url.parse_address(text, default_port=1), service_url.RefusedUrl)
    return [
        Case(
            "a line of .env",
            _read_env_line,
            lines,
            tuple(
                f"settings/env_file.py:{name}"
                for name in ("_LINE", "_SINGLE", "_DOUBLE", "_ESCAPE", "_COMMENT", "_read_value")
            ),
        ),
        Case(
            "REDIS_URL",
            read_url,
            urls,
            ("tasks_app/conf/redis.py:_parse_url", "tasks_app/conf/service_url.py:_LONE_PERCENT"),
        ),
        Case(
            "a host and its port",
            read_host,
            texts(*units),
            ("tasks_app/conf/service_url.py:_HOST", "tasks_app/conf/service_url.py:_PORT"),
        ),
        Case(
            "DATABASE_URL's options",
            quietly(
                lambda text: database_settings._read_options({"read_timeout": text}, name="x", texts=()),
                ImproperlyConfigured,
            ),
            texts("1", "x"),
            ("settings/database.py:_read_options",),
        ),
        Case(
            "a refused value",
            lambda text: values._refusal(dataclasses.fields(env.Process)[0], text, "x"),
            texts(*units),
            ("tasks_app/conf/values.py:_refusal",),
        ),
        Case(
            "a page's settings with DEBUG",
            debug_pages.ReporterFilter.hidden_settings.search,
            texts("x", "AP", "HTTP_", "LONGTASK"),
            ("longtasks/http/debug_pages.py:hidden_settings",),
        ),
        Case(
            "a path from inside",
            page_middleware.INSIDE.fullmatch,
            texts("x", "/", "/health/live"),
            ("longtasks/http/page_middleware.py:INSIDE",),
        ),
        Case(
            "an owner's name",
            quietly(lambda text: owner_names.check_owner_name(text, most=10**7), ValueError),
            texts("x", " x", "a\u0301", "\u3164"),
            ("tasks_app/auth/owner_names.py:_BLANK",),
        ),
    ]

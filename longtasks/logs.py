"""How log lines look: JSON for machines, text for people, with the same context on both, and no secret on either.

Owns the formatters that settings/base.py and longtasks/gunicorn.py name. Must not import Django: gunicorn's parent
loads it.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any, Final

from tasks_app.log_context import get_context

HIDDEN: Final = "***"
_SECRETS: Final = (
    # user:password@ in a URL
    (re.compile(r"(?P<keep>[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@]+(?=@)", re.IGNORECASE), rf"\g<keep>{HIDDEN}"),
    # Authorization: Bearer …, Basic …
    (re.compile(r"(?P<keep>\b(?:bearer|basic)\s+)[\w.~+/=-]{6,}", re.IGNORECASE), rf"\g<keep>{HIDDEN}"),
    # password=…, 'token': '…', SECRET_KEY='…', sessionid=…
    (
        re.compile(
            r"""(?P<keep>\b[\w-]*(?:password|passwd|secret|token|api[_-]?key|sessionid|csrftoken|cookie)[\w-]*["']?"""
            r"""\s*[=:]\s*["']?)[^\s"',;&)}\]]+""",
            re.IGNORECASE,
        ),
        rf"\g<keep>{HIDDEN}",
    ),
)
# What a LogRecord has anyway; anything else came as `extra`.
_PLAIN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def hide_secrets(text: str) -> str:
    """Return the text with passwords, tokens and keys replaced by ***."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _PLAIN and name != "request"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, context, extras, exception."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": hide_secrets(record.getMessage()),
            "pid": record.process,
            **get_context(),
        }
        for name, value in _extra(record).items():
            line[name] = value if isinstance(value, int | float | bool | None) else hide_secrets(str(value))
        if record.exc_info:
            line["exception"] = hide_secrets(self.formatException(record.exc_info))
        if record.stack_info:
            line["stack"] = hide_secrets(record.stack_info)
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """The same as one readable line, context and extras at its end; an exception follows below."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        context = " ".join(f"{name}={value}" for name, value in (get_context() | _extra(record)).items())
        line = f"{time} {record.levelname:<7} {record.name}: {record.getMessage()}"
        if context:
            line = f"{line}  [{context}]"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return hide_secrets(line)

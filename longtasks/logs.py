"""How log lines look: JSON for machines, text for people, with the same context on both, and no secret on either.

Owns the formatters that settings/base.py and longtasks/gunicorn.py name. Must not import Django: gunicorn's parent
loads it.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

from tasks_app.log_context import get_context
from tasks_app.redaction import hide_secrets

# What a LogRecord has anyway; anything else came as `extra`.
_PLAIN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


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

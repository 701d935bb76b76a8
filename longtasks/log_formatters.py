"""The formatters of log lines: JSON for machines, text for people, both with the same context and without secrets.

Owns the formatters that settings/base.py and longtasks/gunicorn.py name. A record may hold any text of a client or a
task type: each text is bounded, secrets are redacted, control characters are escaped, and no value makes a formatter
raise. Must not import Django: gunicorn's parent loads this module.
"""

from __future__ import annotations

import json
import logging
import math
from datetime import UTC, datetime
from typing import Any, Final

from tasks_app.domain.printable import IN_JSON, IN_LINES, escape
from tasks_app.observability.log_context import get_context
from tasks_app.observability.redaction import shorten

# The attributes of every LogRecord; any other attribute was passed as `extra`.
_PLAIN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# Extras that no line shows: Django's request object.
_OMITTED: Final = frozenset({"request"})
_INTEGER_BITS: Final = 64  # JSON readers support no more, and Python refuses to print integers of thousands of digits
_NAME_CHARACTERS: Final = 100  # maximum length of an extra's name


def _to_text(value: object) -> str:
    """Return str(value), or the type and the error when str() raises."""
    try:
        return str(value)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"{_to_text(record.msg)} <arguments that cannot be shown: {type(error).__name__}>"


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _PLAIN | _OMITTED}


class SafeFormatter(logging.Formatter):
    """Format tracebacks for both formatters."""

    def format_traceback(self, record: logging.LogRecord) -> str:
        """Return the exception and the stack of a record, empty without them."""
        texts = []
        if record.exc_info:
            try:
                texts.append(self.formatException(record.exc_info))
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                texts.append(f"<an exception that cannot be shown: {type(error).__name__}>")
        if record.stack_info:
            texts.append(_to_text(record.stack_info))
        return "\n".join(texts)


class JsonFormatter(SafeFormatter):
    """Write one JSON object per line: time, level, logger, message, context, extras, exception."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": self._to_value(_message(record)),
            "pid": record.process,
        }
        for name, value in (get_context() | _extra(record)).items():
            shown = self._to_value(_to_text(name)[:_NAME_CHARACTERS])
            line[shown] = self._to_value(value, name=f"{shown}=")
        if traceback := self.format_traceback(record):
            line["exception"] = self._to_value(traceback)
        return json.dumps(line, ensure_ascii=False)

    def _to_value(self, value: Any, *, name: str = "") -> Any:
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is int and value.bit_length() <= _INTEGER_BITS:
            return value
        if kind is float and math.isfinite(value):
            return value
        # The name is redacted together with the value, because the name may mark the value as a secret.
        return escape(shorten(f"{name}{_to_text(value)}").removeprefix(name), unsafe=IN_JSON)


class TextFormatter(SafeFormatter):
    """Write one readable line with the context and extras at its end; an exception follows on its own lines."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        context = " ".join(
            shorten(f"{_to_text(name)[:_NAME_CHARACTERS]}={_to_text(value)}")
            for name, value in (get_context() | _extra(record)).items()
        )
        line = f"{time} {record.levelname:<7} {record.name}: {shorten(_message(record))}"
        if context:
            line = f"{line}  [{context}]"
        line = escape(line)
        if traceback := self.format_traceback(record):
            line = f"{line}\n{escape(shorten(traceback), unsafe=IN_LINES)}"
        return line

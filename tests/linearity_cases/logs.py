"""Log lines: redaction, escaping and the formatters."""

import logging
import sys

from longtasks.log_formatters import JsonFormatter, TextFormatter
from tasks_app.domain import printable
from tasks_app.observability import redaction
from tests.linearity import Case, repeat, texts

_SECRET_TEXTS = texts(
    *("x", " ", "\n", "a-", "@", "://a:b", "a://b:", "://a:@", "token", "token=", "token= ", "cookie: ", "password\\'"),
    *("bearer ", "bearer  a", "basic", "é", "\udce9"),
) | {"a blank run": repeat(" ", before="bearer token"), "one long word": repeat("x", before="http://a:", after="@")}


def _record(text: str) -> logging.LogRecord:
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "%s", (text,), None)
    record.detail = text
    return record


def _failed(text: str) -> logging.LogRecord:
    record = _record("failed")
    try:
        raise ValueError(text)
    except ValueError:
        record.exc_info = sys.exc_info()
    return record


def logging_cases() -> list[Case]:
    patterns = tuple(
        f"tasks_app/observability/redaction.py:{name}"
        for name in ("_WORD", "_URL", "_AUTHORIZATION", "_TOKEN", "_NAMED")
    )
    unsafe = texts("x", "\x1b", "\udce9", "é\n")
    few = texts("x", "://a:b", "token", "\x1b", "a ")
    return [
        Case("redaction.hide_secrets", redaction.hide_secrets, _SECRET_TEXTS, patterns),
        Case("redaction.shorten", redaction.shorten, few),
        Case("printable.escape", printable.escape, unsafe, ("tasks_app/domain/printable.py:IN_LINE",)),
        Case(
            "printable.escape in lines",
            lambda text: printable.escape(text, unsafe=printable.IN_LINES),
            unsafe,
            ("tasks_app/domain/printable.py:IN_LINES", "tasks_app/domain/printable.py:IN_JSON"),
        ),
        Case("JsonFormatter, message", lambda text: JsonFormatter().format(_record(text)), few),
        Case("JsonFormatter, exception", lambda text: JsonFormatter().format(_failed(text)), few),
        Case("TextFormatter, message", lambda text: TextFormatter().format(_record(text)), few),
        Case("TextFormatter, exception", lambda text: TextFormatter().format(_failed(text)), few),
    ]

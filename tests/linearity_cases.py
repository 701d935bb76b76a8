"""The functions that tests/linearity.py measures, each with the texts that are hardest for it. Wants Django set up."""

import dataclasses
import io
import json
import logging
import sys
from contextlib import suppress
from typing import Any

from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation
from django.http import QueryDict
from django.urls import Resolver404, resolve
from rest_framework.exceptions import APIException, ValidationError

from catalog import sql_scripts
from longtasks import gunicorn
from longtasks.gunicorn_internals import BoundedProtocol
from longtasks.http import debug_pages, page_middleware, paths
from longtasks.http.bounded_request import BoundedRequest
from longtasks.http.request_head import Refused, read_head
from longtasks.log_formatters import JsonFormatter, TextFormatter
from settings import addresses, env, env_file, queues, service_url, values
from settings import database as database_settings
from settings import redis as redis_settings
from tasks_app.api import (
    early_refusal,
    json_limits,
    json_rendering,
    problem_details,
    query_parameters,
    request_ids,
    request_serializers,
    response_serializers,
    wanted_wait,
)
from tasks_app.api.content_negotiation import JsonNegotiation, accepts_json, is_json
from tasks_app.api.stream import access, asgi_app, subscription
from tasks_app.auth import owner_names, token_cache
from tasks_app.domain import error_text, printable, task_snapshot
from tasks_app.engine import chunk_guard
from tasks_app.http import origins, peers
from tasks_app.management import arguments
from tasks_app.observability import redaction
from tasks_app.process_monitor import exits, reporter, reports
from tasks_app.queues import pipelined_connection
from tasks_app.read_model import task_search
from tasks_app.task_types import declarations, task_results
from tasks_app.task_types.field_words import say_name
from tasks_app.templatetags import task_display
from tasks_app.webhooks import callback_addresses
from tests.linearity import Case, repeat, texts

HEAD = b"POST /tasks HTTP/1.1\r\nHost: localhost\r\n"
_SECRET_TEXTS = texts(
    *("x", " ", "\n", "a-", "@", "://a:b", "a://b:", "://a:@", "token", "token=", "token= ", "cookie: ", "password\\'"),
    *("bearer ", "bearer  a", "basic", "é", "\udce9"),
) | {"a blank run": repeat(" ", before="bearer token"), "one long word": repeat("x", before="http://a:", after="@")}


_STATEMENTS = (chunk_guard._ENDS_TRANSACTION, chunk_guard._CHANGES_SESSION)
_NAMES = (declarations._NAME, declarations._COUNT_NAME, task_results._COUNT_NAME)


def make_cases() -> list[Case]:
    """Return a case for every function that meets foreign text."""
    return [
        *_logging_cases(),
        *_body_cases(),
        *_header_cases(),
        *_settings_cases(),
        *_other_cases(),
        *_process_cases(),
        *_task_type_cases(),
    ]


def _quietly(function: Any, *wanted: type[Exception]) -> Any:
    """The function, its refusals of hostile text included."""

    def call(text: Any) -> None:
        try:
            function(text)
        except wanted:
            return

    return call


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


def _logging_cases() -> list[Case]:
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


def _keys(length: int) -> str:
    return ",".join(f'"{number}":1' for number in range(length // 9))


def _body_cases() -> list[Case]:
    bodies = {
        "one key twice": lambda length: f'{{{_keys(length)},"0":1}}'.encode(),
        "each key twice": lambda length: f"{{{_keys(length // 2)},{_keys(length // 2)}}}".encode(),
        "objects": lambda length: b"[" + b",".join([b'{"a":{}}'] * (length // 9)) + b"]",
        "integers beyond 64 bits": lambda length: b"[" + b",".join([b"9" * 30] * (length // 31)) + b"]",
        "one long integer": lambda length: b"[" + b"9" * length + b"]",
        "depth": lambda length: b"[" * (length // 2) + b"]" * (length // 2),
        "colons": lambda length: b'{"a":"' + b":" * length + b'"}',
        "escapes": lambda length: b'{"a":"' + b"\\u0000" * (length // 6) + b':"}',
        "open": lambda length: b'{"a":[' * (length // 6),
    }
    fields = {
        "unknown fields": lambda length: {str(number): 1 for number in range(length // 9)},
        "unknown params": lambda length: {
            "name": "upload",
            "params": {str(number): 1 for number in range(length // 9)},
        },
        "long texts": lambda length: {"name": "upload", "description": "x" * length, "priority": "y" * length},
        "a long address": lambda length: {"name": "upload", "callbackUrl": "http://" + "a." * (length // 2)},
        "a long name": lambda length: {"name": "x" * length},
        "a long key": lambda length: {"x" * length: 1},
        "a long id": lambda length: {"name": "purge", "params": {"taskId": "0-" * (length // 2)}},
    }
    return [
        Case("rendering.read_json", _quietly(json_rendering.read_json, APIException), bodies),
        Case(
            "json_limits.measure",
            _quietly(lambda data: json_limits.measure(data, levels=20), json_limits.BeyondLimits),
            {
                "numbers": lambda length: [0] * (length // 2),
                "lists": lambda length: [[[]] for _ in range(length // 6)],
                "a wrong one at the end": lambda length: {"x" * (length // 2): [0] * (length // 4) + [2**70]},
            },
        ),
        Case("serializers.read_new_task", _quietly(request_serializers.read_new_task, APIException), fields),
        Case(
            "serializers.read_bulk",
            _quietly(request_serializers.read_bulk, APIException),
            {
                "unknown fields": lambda length: {str(number): 1 for number in range(length // 9)},
                "a thousand tasks": lambda length: {"tasks": [{"x" * (length // 1000): 1}] * 1000},
            },
        ),
        Case(
            "errors.problem_response",
            lambda detail: problem_details.problem_response(ValidationError(detail), {}),
            {
                "many": lambda length: {str(number): ["wrong"] for number in range(length // 15)},
                "long": lambda length: {"a": ["x" * length]},
                "a long path": lambda length: {"x" * length: {"y": {"z": ["wrong"] * 200}}},
            },
        ),
    ]


def _environ(text: str, name: str) -> dict[str, Any]:
    return {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.input": io.BytesIO(), name: text}


def _feed(data: bytes) -> None:
    """Have web's event loop gather a request that arrives in small pieces."""
    connection = BoundedProtocol.__new__(BoundedProtocol)
    connection._gathered, connection._searched, connection._wanted = bytearray(), 0, 0
    for start in range(0, len(data), 100):
        connection._gathered += data[start : start + 100]
        if connection._is_complete():
            return


def _resolve(path: str) -> None:
    resolve(path)


def _header_cases() -> list[Case]:
    head_patterns = tuple(
        f"longtasks/http/request_head.py:{name}" for name in ("_LENGTH", "_CODING", "_EXPECT", "_HOST")
    )
    heads = {
        name: (lambda length, unit=unit: HEAD + unit * (length // len(unit)) + b"\r\n")
        for name, unit in {
            "letters": b"x",
            "line breaks": b"\r\n",
            "half line breaks": b"\r",
            "lengths": b"\r\ncontent-length:",
            "blanks": b"\r\ncontent-length: \t \t",
            "digits": b"\r\ncontent-length:1234567890123",
            "expectations": b"\r\nexpect: ",
            "hosts": b"\r\nhost ",
            "preferences": b"\r\nprefer",
            "tokens": b"\r\nauthorization: \t ",
            "addresses": b"\r\nx-forwarded-for: 127.0.0.1,",
        }.items()
    }
    lists = texts("x", ",", ";", "a;", "a=b;", 'a="', "q=0,", "*/*;q=0,", " ", "W/", '"')
    content_types = texts("x", ";", ';"', '\\"', "a*=") | {"open quote": repeat(";", before='application/json;a="')}
    cookies = texts("x", ";", "a=", '"', "\\1") | {"backslashes": repeat("\\", before='a="', after='"')}
    negotiation = JsonNegotiation()
    return [
        Case("request_head.read_head", _quietly(read_head, Refused), heads, head_patterns),
        Case(
            "BoundedProtocol, in pieces",
            _quietly(_feed, Refused),
            {
                "letters": lambda length: HEAD + b"x" * length,
                "line breaks": lambda length: b"\r\n" * (length // 2),
                "a body": lambda length: HEAD + b"Content-Length: %d\r\n\r\n" % length + b"x" * length,
            },
        ),
        Case(
            "paths, which way a request takes",
            lambda path: (paths.is_quick("GET", path), paths.is_stream(path), paths.is_api(path)),
            texts("x", "/", "/tasks/", "/stream", "a-"),
            ("longtasks/http/paths.py:_QUICK", "longtasks/http/paths.py:_STREAM", "longtasks/http/paths.py:_API"),
        ),
        Case(
            "early_refusal, an empty bucket",
            lambda head: (
                early_refusal.GUARDED.match(head),
                early_refusal._AUTHORIZATION.search(head),
                peers.find_peer(
                    {
                        "REMOTE_ADDR": "127.0.0.1",
                        "HTTP_X_FORWARDED_FOR": b",".join(early_refusal._FORWARDED.findall(head)).decode("latin-1"),
                    }
                ),
            ),
            heads,
            tuple(f"tasks_app/api/early_refusal.py:{name}" for name in ("GUARDED", "_AUTHORIZATION", "_FORWARDED")),
        ),
        Case(
            "BoundedRequest, Content-Type", lambda text: BoundedRequest(_environ(text, "CONTENT_TYPE")), content_types
        ),
        Case("BoundedRequest, Cookie", lambda text: BoundedRequest(_environ(text, "HTTP_COOKIE")).COOKIES, cookies),
        Case("BoundedRequest, Host", lambda text: BoundedRequest(_environ(text, "HTTP_HOST")), texts("x", "a.", "[:")),
        Case("negotiation.accepts_json", accepts_json.__wrapped__, lists),
        Case("negotiation.is_json", is_json.__wrapped__, lists),
        Case(
            "JsonNegotiation.select_parser",
            lambda text: negotiation.select_parser(type("Request", (), {"content_type": text})(), [None]),  # type: ignore[list-item]
            lists,
        ),
        Case(
            "serializers.read_idempotency_key",
            _quietly(
                lambda text: request_serializers.read_idempotency_key({"HTTP_IDEMPOTENCY_KEY": text}), APIException
            ),
            texts("x", " ", "é"),
            ("tasks_app/api/request_serializers.py:_KEY",),
        ),
        Case(
            "serializers.read_wait",
            lambda text: wanted_wait.read_wait({"HTTP_PREFER": text}, QueryDict()),
            texts(",", "wait=", "wait=1", "wait=,", " "),
        ),
        Case(
            "serializers.read_query",
            _quietly(
                lambda text: query_parameters.read_query(QueryDict(text), query_parameters.ListQuerySerializer),
                APIException,
            ),
            {
                "cursor": repeat("0", before="cursor="),
                "number": repeat("0", before="limit="),
                "points": repeat(".0", before="limit="),
                "time": repeat("2", before="createdAfter="),
                "status": repeat("x", before="status="),
                "a name": repeat("x"),
            },
            ("tasks_app/api/query_parameters.py:cursor",),
        ),
        Case("request_ids.SANE", request_ids.SANE.match, texts("x", ":"), ("tasks_app/api/request_ids.py:SANE",)),
        Case("tokens.digest_of", token_cache.digest_of, texts("x", "\udce9")),
        Case(
            "urls",
            _quietly(_resolve, Resolver404),
            {repr(u): repeat(u, before="/tasks/") for u in ("x", "/", "0-", ".")},
        ),
        Case(
            "stream_app's address and id",
            lambda text: (subscription._PATH.match(f"/tasks/{text}/stream"), subscription._ID.match(text)),
            texts("x", "/", "1", "stream/"),
            ("tasks_app/api/stream/subscription.py:_PATH", "tasks_app/api/stream/subscription.py:_ID"),
        ),
        Case(
            "settings' addresses",
            lambda text: (
                addresses._HOST.fullmatch(text),
                addresses._PREFIX.fullmatch(f"/{text}"),
                _quietly(addresses.check_origins, ValueError)(f"https://{text}"),
                _quietly(addresses.check_proxies, ValueError)(text),
            ),
            texts("x", "-", ".", "/", "1", ":", "x.", "/x", ",", "["),
            ("settings/addresses.py:_HOST", "settings/addresses.py:_PREFIX"),
        ),
        Case(
            "stream_access's query",
            _quietly(lambda text: access.read_stream_query(text.encode()), APIException, SuspiciousOperation),
            texts("x", "&", "=", "%", "ticket=x&", "token"),
        ),
        Case(
            "stream_access's cookie and origin",
            lambda text: (
                access._read_session_key({"HTTP_COOKIE": f"sessionid={text}"}),
                origins.comes_from_elsewhere({"HTTP_ORIGIN": text, "HTTP_HOST": "x"}),
            ),
            texts("x", ";", "=", "a=b;", "/", "http://", "[", '"', "\\"),
        ),
        Case(
            "stream_app._to_meta",
            lambda headers: asgi_app._to_meta({"headers": headers}),
            {"one, many times": lambda length: [(b"x", b"y")] * (length // 4)},
        ),
    ]


def _read_env_line(text: str) -> None:
    with suppress(env_file.RefusedFile):
        env_file._read_line(text.encode())


def _settings_cases() -> list[Case]:
    """What operators write, by accident too: the start must end at once with its one line."""
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
    read_url = _quietly(lambda url: redis_settings._parse_url(url, wants_host=True), ImproperlyConfigured)
    read_host = _quietly(lambda text: service_url.parse_address(text, default_port=1), service_url.RefusedUrl)
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
            ("settings/redis.py:_parse_url", "settings/service_url.py:_LONE_PERCENT"),
        ),
        Case(
            "a host and its port",
            read_host,
            texts(*units),
            ("settings/service_url.py:_HOST", "settings/service_url.py:_PORT"),
        ),
        Case(
            "DATABASE_URL's options",
            _quietly(
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
            ("settings/values.py:_refusal",),
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
            _quietly(lambda text: owner_names.check_owner_name(text, most=10**7), ValueError),
            texts("x", " x", "a\u0301", "\u3164"),
            ("tasks_app/auth/owner_names.py:_BLANK",),
        ),
    ]


def _process_cases() -> list[Case]:
    """What processes say of themselves in Redis, of each other in the environment, and of their machine."""
    forms = (reports._HOST, reports._VERSION, reports._EXIT)
    return [
        Case(
            "processes._parse",
            lambda text: reports._parse(b"web:0:x", text.encode(), now=1),
            {
                "digits": repeat("1"),
                "open": repeat("[", before="1 "),
                "unknown names": lambda length: f"1 {{{_keys(length)}}}",
            },
            ("tasks_app/process_monitor/reports.py:_parse",),
        ),
        Case(
            "what an entry says",
            lambda text: [form.fullmatch(text) for form in forms],
            texts("x", ":", " ", "é"),
            tuple(f"tasks_app/process_monitor/reports.py:{name}" for name in ("_HOST", "_VERSION", "_EXIT")),
        ),
        Case(
            "exits.read_exits",
            lambda text: exits.read_exits({exits.VARIABLE: text}),
            texts("1", "1=", "x", "1=x,", " "),
            ("tasks_app/process_monitor/exits.py:read_exits",),
        ),
        Case(
            "process_reporter.name_host",
            reporter.name_host,
            texts("x", ":", "é"),
            ("tasks_app/process_monitor/reporter.py:name_host",),
        ),
        Case(
            "gunicorn's message of an exit",
            gunicorn.EXIT_MESSAGE.match,
            texts("x", "Worker (pid:%s) was sent", " "),
            ("longtasks/gunicorn.py:EXIT_MESSAGE",),
        ),
    ]


def _field(name: str) -> Any:
    return type("Field", (), {"field_name": name, "_kwargs": {}})()


def _other_cases() -> list[Case]:
    addresses = texts("x", "a.", "a-", "[:", ":1", "/") | {
        "labels": repeat("a.", before="http://", after="/"),
        "hyphens": repeat("a-", before="http://"),
        "a path": repeat("/", before="http://example.com", after="é"),
    }
    snapshot = {"id": "1", "name": "upload", "created_at": "2026-01-01T00:00:00Z"}
    return [
        Case(
            "callback_addresses.is_acceptable",
            lambda text: [callback_addresses.is_acceptable(text, allow_private=each) for each in (True, False)],
            addresses,
            ("tasks_app/webhooks/callback_addresses.py:_ANY", "tasks_app/webhooks/callback_addresses.py:_PUBLIC"),
        ),
        Case(
            "task_search._id_range",
            task_search._id_range,
            texts("x", "0", "-", " "),
        ),
        Case(
            "arguments.duration",
            _quietly(arguments.duration, Exception),
            texts("1", "1.", " "),
            ("tasks_app/management/arguments.py:duration",),
        ),
        Case(
            "field_words.say_name",
            lambda name: say_name(_field(name)),
            texts("x", "aB", "a_"),
            ("tasks_app/task_types/field_words.py:say_name",),
        ),
        Case(
            "events.decode",
            _quietly(task_snapshot.decode, ValueError),
            {
                "letters": lambda length: json.dumps({**snapshot, "error": "x" * length}),
                "unknown names": lambda length: json.dumps(snapshot)[:-1] + f",{_keys(length)}}}",
                "open": lambda length: "[" * length,
            },
        ),
        Case("answers.summarize_error", response_serializers.summarize_error, texts("x", "\n", " ")),
        Case("task_display.pretty_json", task_display.pretty_json, texts("x", "\x00", "é")),
    ]


def _task_type_cases() -> list[Case]:
    """What task types, and the stores on their behalf, say."""
    statements = texts("x", " ", "(", "/*", "/* */", "--\n", "SET ", "SELECT ", "COMMIT", "autocommit ")
    return [
        Case(
            "chunk_guard's look at a statement",
            lambda sql: [pattern.match(chunk_guard._get_head(sql)) for pattern in _STATEMENTS],
            statements,
            tuple(
                f"tasks_app/engine/chunk_guard.py:{name}"
                for name in ("_COMMENT", "_ENDS_TRANSACTION", "_CHANGES_SESSION")
            ),
        ),
        Case(
            "error_text.describe_error",
            lambda text: error_text.describe_error(ValueError(text)),
            texts("x", "\n", "\udce9", "\x1b", "é"),
        ),
        Case(
            "error_text.error_line",
            lambda text: error_text.error_line(ValueError(text)),
            texts("x", "\n", "\u2028"),
            ("tasks_app/domain/error_text.py:_LINE_BREAKS",),
        ),
        Case(
            "sql_scripts' lines of a table",
            sql_scripts._break_lines,
            texts("x", ", ", ", `x", ", `x` ", ", CONSTRAINT"),
            ("catalog/sql_scripts.py:_NEXT_COLUMN",),
        ),
        Case("error_text.describe_value", error_text.describe_value, texts("x", "\n", "\udce9")),
        Case(
            "line.get_refusal",
            pipelined_connection.get_refusal,
            texts("x", "ERR ", "ERR x: -OOM ", ": ", "A"),
            ("tasks_app/queues/pipelined_connection.py:_WORD", "tasks_app/queues/pipelined_connection.py:_INNER"),
        ),
        Case(
            "names of queues",
            lambda text: (_quietly(queues.check_queues, ValueError)(text), queues.NAME.match(text)),
            texts("x", "-", "_", ",", "A"),
            ("settings/queues.py:NAME",),
        ),
        Case(
            "names of task types and counts",
            lambda text: [pattern.match(text) for pattern in _NAMES],
            texts("x", "|", "."),
            (
                "tasks_app/task_types/declarations.py:_NAME",
                "tasks_app/task_types/declarations.py:_COUNT_NAME",
                "tasks_app/task_types/task_results.py:_COUNT_NAME",
            ),
        ),
    ]

"""Heads of requests: the request line, headers, cookies, queries and paths."""

import io
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.http import QueryDict
from django.urls import Resolver404, resolve
from rest_framework.exceptions import APIException

from longtasks.http import paths
from longtasks.http.api_handler import Routes
from longtasks.http.bounded_request import BoundedRequest
from longtasks.http.request_head import Refused, read_head
from longtasks.server.request_gatherer import RequestGatherer
from tasks_app.api import (
    early_refusal,
    prefer_wait,
    query_parameters,
    request_ids,
    request_serializers,
)
from tasks_app.api.content_negotiation import accepts_range, check_content_type, is_json
from tasks_app.api.stream import access, asgi_app, subscription
from tasks_app.auth import token_cache
from tasks_app.conf import addresses
from tasks_app.http import origins, peers
from tests.linearity import Case, repeat, texts
from tests.linearity_cases.calls import quietly

HEAD = b"POST /tasks HTTP/1.1\r\nHost: localhost\r\n"


def _environ(text: str, name: str) -> dict[str, Any]:
    return {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.input": io.BytesIO(), name: text}


def _feed(data: bytes) -> None:
    """Pass a request to web's event loop in small pieces."""
    requests = RequestGatherer()
    for start in range(0, len(data), 100):
        requests.add(data[start : start + 100])
        if requests.find_request():
            return


def _resolve(path: str) -> None:
    resolve(path)


def header_cases() -> list[Case]:
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
    return [
        Case("request_head.read_head", quietly(read_head, Refused), heads, head_patterns),
        Case(
            "RequestGatherer, in pieces",
            quietly(_feed, Refused),
            {
                "letters": lambda length: HEAD + b"x" * length,
                "line breaks": lambda length: b"\r\n" * (length // 2),
                "a body": lambda length: HEAD + b"Content-Length: %d\r\n\r\n" % length + b"x" * length,
            },
        ),
        Case(
            "paths, where a request runs",
            lambda path: (
                paths.is_quick("GET", path),
                paths.is_stream(path),
                paths.is_api(path),
                paths.is_upload("POST", path),
                paths.is_download("GET", path),
                quietly(Routes().resolve, Resolver404)(path),
            ),
            texts("x", "/", "/tasks/", "/stream", "a-", "/files/", "/downloads/"),
            (
                *(f"longtasks/http/paths.py:{name}" for name in ("_QUICK", "_STREAM", "_API", "_UPLOAD", "_DOWNLOAD")),
                "longtasks/http/api_handler.py:_TASK",
            ),
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
        Case("content_negotiation.accepts_range", accepts_range.__wrapped__, lists),
        Case("content_negotiation.is_json", is_json.__wrapped__, lists),
        Case(
            "content_negotiation.check_content_type",
            quietly(lambda text: check_content_type({"CONTENT_TYPE": text}), APIException),
            lists,
        ),
        Case(
            "request_serializers.read_idempotency_key",
            quietly(
                lambda text: request_serializers.read_idempotency_key({"HTTP_IDEMPOTENCY_KEY": text}), APIException
            ),
            texts("x", " ", "é"),
            ("tasks_app/api/request_serializers.py:_KEY",),
        ),
        Case(
            "prefer_wait.read_wait",
            lambda text: prefer_wait.read_wait({"HTTP_PREFER": text}, QueryDict()),
            texts(",", "wait=", "wait=1", "wait=,", " "),
        ),
        Case(
            "query_parameters.read_query",
            quietly(
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
        Case("request_ids.VALID", request_ids.VALID.match, texts("x", ":"), ("tasks_app/api/request_ids.py:VALID",)),
        Case("token_cache.digest_of", token_cache.digest_of, texts("x", "\udce9")),
        Case(
            "urls",
            quietly(_resolve, Resolver404),
            {repr(u): repeat(u, before="/tasks/") for u in ("x", "/", "0-", ".")},
        ),
        Case(
            "asgi_app's address and id",
            lambda text: (subscription._PATH.match(f"/tasks/{text}/stream"), subscription._ID.match(text)),
            texts("x", "/", "1", "stream/"),
            ("tasks_app/api/stream/subscription.py:_PATH", "tasks_app/api/stream/subscription.py:_ID"),
        ),
        Case(
            "settings' addresses",
            lambda text: (
                addresses._HOST.fullmatch(text),
                addresses._PREFIX.fullmatch(f"/{text}"),
                quietly(addresses.check_origins, ValueError)(f"https://{text}"),
                quietly(addresses.check_proxies, ValueError)(text),
            ),
            texts("x", "-", ".", "/", "1", ":", "x.", "/x", ",", "["),
            ("tasks_app/conf/addresses.py:_HOST", "tasks_app/conf/addresses.py:_PREFIX"),
        ),
        Case(
            "stream.access, the query",
            quietly(lambda text: access.read_stream_query(text.encode()), APIException, SuspiciousOperation),
            texts("x", "&", "=", "%", "ticket=x&", "token"),
        ),
        Case(
            "stream.access, cookie and origin",
            lambda text: (
                access._read_session_key({"HTTP_COOKIE": f"sessionid={text}"}),
                origins.is_cross_origin({"HTTP_ORIGIN": text, "HTTP_HOST": "x"}),
            ),
            texts("x", ";", "=", "a=b;", "/", "http://", "[", '"', "\\"),
        ),
        Case(
            "asgi_app._to_meta",
            lambda headers: asgi_app._to_meta({"headers": headers}),
            {"one, many times": lambda length: [(b"x", b"y")] * (length // 4)},
        ),
    ]

"""The requests of the API's door: hand-written ones, and strategies for more.

Owns what is sent. `door_api` owns which answers are allowed.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.hostile import api_lists
from tests.hostile.raw_http import request

GOOD = frozenset({200, 201, 202, 204, 301, 302, 304})
METHODS = [b"GET", b"POST", b"HEAD", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"FOO", b"get"]
REFUSALS = frozenset({400, 401, 404, 405, 406, 409, 413, 414, 415, 417, 422, 429, 431, 501, 505})


@dataclass(frozen=True, slots=True)
class Call:
    """One request, and its allowed answers where these are narrower than "documented"."""

    words: str
    data: bytes
    statuses: frozenset[int] = GOOD | REFUSALS
    is_head: bool = False
    may_close: bool = False  # too malformed for an answer
    continues: int = 1  # at most
    is_problem: bool = True  # its errors are problem+json


def list_calls() -> list[Call]:
    """Return the hand-written requests."""
    calls = []
    json_headers = [(b"Content-Type", b"application/json")]
    for words, body in api_lists.BODIES.items():
        for path in (b"/tasks", b"/tasks/bulk"):
            data = request(b"POST", path, headers=json_headers, body=body)
            calls.append(Call(f"POST {path.decode()} {words}", data, may_close=len(body) > 60_000))
    for words, headers in api_lists.HEADERS.items():
        for method, path, body in ((b"GET", b"/health/live", None), (b"POST", b"/tasks", api_lists.GOOD_BODY)):
            data = request(method, path, headers=json_headers + headers, body=body)
            calls.append(
                Call(f"{method.decode()} {path.decode()} {words}", data, may_close=words in api_lists.MAY_CLOSE)
            )
    for words, data in api_lists.RAW.items():
        calls.append(Call(f"raw {words}", data, may_close=True))
    for path in api_lists.PATHS:
        calls.append(Call(f"GET {path!r}", request(b"GET", path), may_close=not path.startswith(b"/")))
    for path in api_lists.ENDPOINTS:
        calls += [_other(method, path, []) for method in METHODS if method != b"GET"]
    for name in api_lists.DESCRIPTIONS:
        body = json.dumps({"name": "upload", "params": {"numRecords": 1}, "description": name}).encode()
        calls.append(Call(f"description {name!r}", request(b"POST", b"/tasks", headers=json_headers, body=body)))
    for reason in (*api_lists.DESCRIPTIONS, 5, None, ["x"]):
        body = json.dumps({"reason": reason}).encode()
        data = request(b"POST", b"/queues/low/pause", headers=json_headers, body=body)
        calls.append(Call(f"pause {reason!r}", data))
    return calls


_json = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(min_value=-(2**80), max_value=2**80),
        st.floats(),
        st.text(st.characters(), max_size=20),
    ),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=10), inner, max_size=4)
    ),
    max_leaves=8,
)
_numbers = st.one_of(
    st.integers(min_value=-5, max_value=40), st.sampled_from([10_000_001, 2**31, 2**63, 2**64, 1e400, 2.0, 2.5]), _json
)
_text = st.text(st.characters(), max_size=12) | st.sampled_from(api_lists.DESCRIPTIONS)
_bodies = st.one_of(
    _json,
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from(["upload", "upload", "purge", "Upload", "up\0load", "nope"]) | _json,
            "params": st.fixed_dictionaries({}, optional={"numRecords": _numbers, "taskId": _json, "x": _json}) | _json,
            "description": _text | _json,
            "priority": st.sampled_from(["high", "low", "HIGH", ""]) | _json,
            "callbackUrl": st.sampled_from(["", "ftp://x.invalid", "http://", "//x", 5]),
            "extra": _json,
        },
    ),
    st.fixed_dictionaries({"tasks": st.lists(_json, max_size=3) | _json}),
)
_encodings = st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-16", "latin1", "utf-8-sig", "utf-32", "cp1252"])
_types = st.sampled_from(
    [b"application/json"] * 5
    + [b"text/plain", b"application/json; charset=latin1", b"", b"multipart/form-data", b"*/*", b"application/JSON;;;"]
)
_header_value = st.binary(max_size=40).map(lambda value: value.translate(None, b"\r\n\0")) | st.sampled_from(
    [
        b"",
        b"x" * 300,
        b"*",
        b'"',
        b'W/"',
        b"wait=5_0",
        b"wait=-1",
        b"wait=\xff",
        b"respond-async, wait=1e9",
        b"0",
        b"-0",
    ]
)
_header_names = st.sampled_from(
    [
        b"Host",
        b"Idempotency-Key",
        b"Prefer",
        b"If-None-Match",
        b"Accept",
        b"Accept-Language",
        b"Accept-Encoding",
        b"Authorization",
        b"X-Request-ID",
        b"X-Forwarded-Proto",
        b"X-Forwarded-For",
        b"Cookie",
        b"Origin",
        b"Referer",
        b"Range",
        b"User-Agent",
        b"traceparent",
        b"Content-Encoding",
        b"X-HTTP-Method-Override",
        b"Forwarded",
        b"Date",
        b"X_Underscore",
    ]
)
_headers = st.lists(st.tuples(_header_names, _header_value), max_size=4)
_ids = st.one_of(
    st.uuids().map(lambda value: str(value).encode()),
    st.sampled_from(
        [b"0", b"%00", b"%ff%fe", b"..", b"%2e%2e%2f", b"'", b"x" * 900, uuid.UUID(int=0).hex.encode(), b"bulk"]
    ),
    st.binary(min_size=1, max_size=12).map(lambda value: b"".join(b"%%%02x" % byte for byte in value)),
)
_query_names = st.sampled_from(
    [b"status", b"name", b"priority", b"createdAfter", b"createdBefore", b"cursor", b"limit", b"wait", b"x", b"q"]
)
_query_values = st.one_of(
    st.sampled_from(
        [
            b"",
            b"0",
            b"-1",
            b"1_0",
            "１".encode(),
            b"1e3",
            b"999999999999999999999",
            b"failed",
            b"UPLOAD",
            b"%00",
            b"%ff",
            b"2026-11-25T15:25:28+02:00",
            b"9999-12-31T23:59:59Z",
            b"0001-01-01T00:00:00-23:59",
            b"f" * 32,
            b"NaN",
            b"high",
            b"%F0%9F%9A%80",
            b"a%26b",
            b"x" * 300,
        ]
    ),
    st.binary(max_size=8).map(lambda value: b"".join(b"%%%02X" % byte for byte in value)),
)
_queries = st.lists(st.tuples(_query_names, _query_values), max_size=3).map(
    lambda pairs: b"?" + b"&".join(name + b"=" + value for name, value in pairs) if pairs else b""
)
_methods = st.sampled_from([*METHODS, b"GET", b"POST"])


def drawn_calls() -> st.SearchStrategy[Call]:
    return st.one_of(
        st.builds(
            _post, st.sampled_from([b"/tasks", b"/tasks", b"/tasks/bulk"]), _bodies, _encodings, _types, _headers
        ),
        st.builds(_mangled, _bodies, st.integers(0, 60), st.binary(min_size=1, max_size=3)),
        st.builds(
            _get, st.sampled_from([b"/tasks", b"/queues", b"/health/live", b"/schema", b"/metrics"]), _queries, _headers
        ),
        st.builds(
            _by_id,
            _methods,
            _ids,
            st.sampled_from(
                [b"", b"/cancel", b"/retry", b"/reschedule", b"/events", b"/failures", b"/failures/retry", b"/x"]
            ),
            _queries,
            _headers,
        ),
        st.builds(_other, _methods, st.sampled_from(api_lists.ENDPOINTS), _headers),
        st.builds(_queue, _ids, st.sampled_from([b"/pause", b"/resume"]), _bodies),
    )


def _post(path: bytes, body: Any, encoding: str, content_type: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Call:
    data = json.dumps(body, ensure_ascii=encoding == "latin1").encode(
        encoding, "surrogatepass" if "utf" in encoding else "replace"
    )
    given = [(b"Content-Type", content_type), *headers]
    return Call(f"POST {path!r} {given} {data!r}", request(b"POST", path, headers=given, body=data))


def _mangled(body: Any, at: int, junk: bytes) -> Call:
    data = json.dumps(body).encode()
    data = data[:at] + junk + data[at + 1 :]
    sent = request(b"POST", b"/tasks", headers=[(b"Content-Type", b"application/json")], body=data)
    return Call(f"POST /tasks {data!r}", sent)


def _get(path: bytes, query: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Call:
    return Call(f"GET {path + query!r} {list(headers)}", request(b"GET", path + query, headers=headers))


def _by_id(method: bytes, key: bytes, action: bytes, query: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Call:
    target = b"/tasks/" + key + action + query
    data = request(method, target, headers=headers, body=b"" if method == b"POST" else None)
    return Call(f"{method.decode()} {target!r} {list(headers)}", data, is_head=method == b"HEAD")


def _other(method: bytes, path: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Call:
    is_problem = not path.startswith((b"/docs", b"/static", b"/admin"))
    data = request(method, path, headers=headers)
    words = f"{method.decode()} {path!r} {list(headers)}"
    return Call(words, data, is_head=method == b"HEAD", is_problem=is_problem, statuses=GOOD | REFUSALS | {403})


def _queue(name: bytes, action: bytes, body: Any) -> Call:
    target = b"/queues/" + name + action
    data = request(b"POST", target, headers=[(b"Content-Type", b"application/json")], body=json.dumps(body).encode())
    return Call(f"POST {target!r} {body!r}", data)

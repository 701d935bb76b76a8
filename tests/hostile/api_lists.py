"""Hand-written requests: bodies, headers, raw bytes and paths, by name. Data only."""

from __future__ import annotations

GOOD_BODY = b'{"name": "upload", "params": {"numRecords": 1}}'
_UPLOAD = b'{"name": "upload", "params": {"numRecords": 1}, "description": %s}'


def _many_keys(number: int, *, twice: bool, inside: bytes = b"%s") -> bytes:
    keys = [b'"k%d":1' % each for each in range(number)] + ([b'"k0":1'] if twice else [])
    return inside % (b"{" + b",".join(keys) + b"}")


BODIES = {
    "nothing": b"",
    "null": b"null",
    "a number": b"1",
    "a blank": b" ",
    "NaN": b"NaN",
    "bad UTF-8": _UPLOAD % b'"\xff\xfe\x80"',
    "UTF-16": GOOD_BODY.decode().encode("utf-16"),
    "BOM": b"\xef\xbb\xbf" + GOOD_BODY,
    "deep lists": b"[" * 30_000 + b"]" * 30_000,
    "deep objects": b'{"a":' * 9_000 + b"1" + b"}" * 9_000,
    "deep params": b'{"name": "upload", "params": ' + b"[" * 600 + b"]" * 600 + b"}",
    "open lists": b"[" * 60_000,
    "long number": b'{"name": "upload", "params": {"numRecords": ' + b"9" * 60_000 + b"}}",
    "long fraction": b'{"name": "upload", "params": {"numRecords": 0.' + b"9" * 60_000 + b"}}",
    "exponent": b'{"name": "upload", "params": {"numRecords": 1e999999999}}',
    "7,000 keys": _many_keys(6_300, twice=False),
    "7,000 keys and one twice": _many_keys(6_300, twice=True),
    "7,000 params and one twice": _many_keys(6_000, twice=True, inside=b'{"name": "upload", "params": %s}'),
    "a key twice": b'{"name": "upload", "name": "upload"}',
    "NUL": b'{"name": "up\\u0000load"}',
    "lone surrogate": _UPLOAD % b'"\\ud800"',
    "lone surrogate in a key": b'{"name": "upload", "\\udce9": 1}',
    "a pair of surrogates": _UPLOAD % b'"\\ud83d\\ude80"',
    "form": b"name=upload",
    "64 KiB": b'{"name": "' + b"x" * 65_500 + b'"}',
    "64 KiB of blanks": b" " * 65_000 + b"{}",
    "4 MiB": b'{"tasks": "' + b"x" * 4_000_000 + b'"}',
    "bulk of 40,000 keys and one twice": _many_keys(40_000, twice=True, inside=b'{"tasks": [%s]}'),
    "bulk of 400,000 keys and one twice": _many_keys(300_000, twice=True, inside=b'{"tasks": [%s]}'),
    "bulk of 300,000 items": b'{"tasks": [' + b",".join([b"1"] * 300_000) + b"]}",
    "bulk of 1,000 wrong ones": b'{"tasks": [' + b",".join([b'{"name": "nope"}'] * 1_000) + b"]}",
    "bulk with a callback that can't be": b'{"tasks": [{"name": "upload", "callbackUrl": "http://[::::]/"}]}',
    "a name of 60,000 letters": b'{"name": "' + b"a" * 60_000 + b'"}',
    "a name of 200 emoji": b'{"name": "' + "🎉".encode() * 200 + b'"}',
    "strings as booleans": b'{"name": true, "params": "x", "priority": [], "description": {}}',
}

HEADERS: dict[str, list[tuple[bytes, bytes]]] = {
    "Host of 8,000 letters": [(b"Host", b"a" * 8_000)],
    "Host of dots": [(b"Host", b"." * 4_000)],
    "Host of brackets": [(b"Host", b"[" * 4_000)],
    "Host with blanks": [(b"Host", b"a b c")],
    "Host with control characters": [(b"Host", b"a\x1b[2Jb")],
    "Host twice": [(b"Host", b"localhost"), (b"Host", b"localhost")],
    "Host unknown": [(b"Host", b"evil.example")],
    "Host of another port": [(b"Host", b"localhost:99999999")],
    "header of 60,000 bytes": [(b"X-Long", b"x" * 60_000)],
    "header of 8,191 bytes": [(b"X-Long", b"x" * 8_191)],
    "100 headers": [(b"X-Many-%d" % number, b"x") for number in range(100)],
    "2,000 headers": [(b"X-Many-%d" % number, b"x") for number in range(2_000)],
    "64 KiB and more": [(b"X-Long-%d" % number, b"x" * 8_000) for number in range(10)],
    "Expect": [(b"Expect", b"100-continue")],
    "Expect of something else": [(b"Expect", b"the unexpected")],
    "Idempotency-Key empty": [(b"Idempotency-Key", b"")],
    "Idempotency-Key of 300": [(b"Idempotency-Key", b"k" * 300)],
    "Idempotency-Key of a blank": [(b"Idempotency-Key", b"a b")],
    "Idempotency-Key of bytes": [(b"Idempotency-Key", b"\xff\xfe")],
    "Prefer of commas": [(b"Prefer", b"," * 7_000)],
    "If-None-Match of quotes": [(b"If-None-Match", b'"' * 7_000)],
    "Accept of commas": [(b"Accept", b"a/b;q=0." * 900)],
    "Accept of nothing": [(b"Accept", b"")],
    "Accept-Language of dashes": [(b"Accept-Language", b"a-" * 3_500)],
    "Cookie of semicolons": [(b"Cookie", b"a=b;" * 1_800)],
    "Cookie of quotes": [(b"Cookie", b'a="' * 2_400)],
    "Authorization of letters": [(b"Authorization", b"Bearer " + b"lt_" * 2_500)],
    "Authorization of bytes": [(b"Authorization", b"Bearer \xff\x00\x80".replace(b"\0", b""))],
    "Content-Encoding": [(b"Content-Encoding", b"gzip")],
    "Content-Type of parameters": [(b"Content-Type", b"application/json;" + b"a=b;" * 1_800)],
    "X-Request-ID of letters": [(b"X-Request-ID", b"r" * 7_000)],
    "X-Request-ID of controls": [(b"X-Request-ID", b"\x1b[31m\t\x7f")],
    "traceparent": [(b"traceparent", b"00-" + b"f" * 500)],
    "Range": [(b"Range", b"bytes=" + b"0-," * 2_000)],
    "Content-Length of letters": [(b"Content-Length", b"abc")],
    "Content-Length negative": [(b"Content-Length", b"-1")],
    "Content-Length with a plus": [(b"Content-Length", b"+5")],
    "Content-Length of underscores": [(b"Content-Length", b"4_7")],
    "Content-Length of 5,000 digits": [(b"Content-Length", b"9" * 5_000)],
    "Content-Length of zeros": [(b"Content-Length", b"0" * 5_000)],
    "Content-Length twice": [(b"Content-Length", b"5"), (b"Content-Length", b"6")],
    "Content-Length too small": [(b"Content-Length", b"3")],
    "Content-Length too big": [(b"Content-Length", b"60000")],
    "Transfer-Encoding": [(b"Transfer-Encoding", b"chunked")],
    "Transfer-Encoding of something else": [(b"Transfer-Encoding", b"gzip, chunked")],
    "both": [(b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"5")],
    "Upgrade": [(b"Connection", b"Upgrade"), (b"Upgrade", b"h2c")],
    "a name with a blank": [(b"X Blank", b"x")],
    "a name with a colon": [(b":authority", b"x")],
}
MAY_CLOSE = frozenset(
    name
    for name in HEADERS
    if name.startswith(("Content-Length", "Transfer-Encoding", "both", "2,000", "64 KiB", "a name"))
)

RAW = {
    "nothing": b"",
    "a newline": b"\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /tasks\r\n",
    "HTTP/3.0": b"GET /tasks HTTP/3.0\r\nHost: localhost\r\n\r\n",
    "without Host": b"GET /tasks HTTP/1.1\r\nConnection: close\r\n\r\n",
    "newlines only": b"GET /tasks HTTP/1.1\nHost: localhost\nConnection: close\n\n",
    "a folded header": b"GET /tasks HTTP/1.1\r\nHost: localhost\r\nX-A: a\r\n b\r\nConnection: close\r\n\r\n",
    "NUL in a header": b"GET /tasks HTTP/1.1\r\nHost: localhost\r\nX-A: a\0b\r\nConnection: close\r\n\r\n",
    "a method of 5,000 letters": b"G" * 5_000 + b" / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "bytes": bytes(range(256)) * 10,
    "chunks of wrong sizes": (
        b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"zz\r\nabc\r\n0\r\n\r\n"
    ),
    "a chunk of 2**64": (
        b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"ffffffffffffffff\r\nabc"
    ),
    "many small chunks": (
        b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        + b"1\r\n \r\n" * 5_000
        + b"0\r\n\r\n"
    ),
    "trailers": (
        b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"2\r\n{}\r\n0\r\nX-T: " + b"t" * 5_000 + b"\r\n\r\n"
    ),
}

PATHS = [
    b"/",
    b"//tasks",
    b"/tasks/",
    b"/tasks//",
    b"/tasks/../queues",
    b"/%2e%2e/%2e%2e/etc/passwd",
    b"/tasks/%00",
    b"/tasks/%ff",
    b"/tasks/\xff\xfe",
    b"/tasks/" + b"x" * 5_000,
    b"/tasks?" + b"a=b&" * 1_000,
    b"/tasks?limit=1_0",
    "/tasks?limit=１".encode(),
    b"/tasks?limit=" + b"9" * 4_000,
    b"/tasks?createdAfter=2026-11-25T15:25:28+02:00",
    b"/tasks?createdAfter=9999-12-31T23:59:59-23:59",
    b"/tasks?createdAfter=0001-01-01T00:00:00%2B23:59",
    b"/tasks?name=%00",
    b"/tasks?name=%F0%9F%9A%80",
    b"/tasks?cursor=" + b"f" * 32,
    b"/tasks?status=failed&name=upload&priority=high",
    b"/tasks#fragment",
    b"*",
    b"http://localhost/tasks",
    b"http://evil.example/tasks",
    b"tasks",
    b"/static/../manage.py",
    b"/static/%2e%2e/manage.py",
    b"/admin/%00/",
    b"/schema?format=yaml",
    b"/metrics?name[]=x",
]

ENDPOINTS = [
    b"/",
    b"/tasks",
    b"/tasks/bulk",
    b"/queues",
    b"/queues/low",
    b"/health/live",
    b"/health/ready",
    b"/metrics",
    b"/schema",
    b"/docs",
    b"/admin/",
    b"/static/x",
    b"/nothing",
]

DESCRIPTIONS = [
    "",
    " ",
    "🎉" * 255,
    "🎉" * 256,
    "x" * 255,
    "x" * 256,
    "a\u0000b",
    "a\x1b[2J\r\nb",
    "\u202eabc",
    "\ufeff",
    "\uffff",
    "\U0010ffff",
    "é" * 255,
    "e\u0301" * 127,
    "%s %(x)s {0} {}",
    "<script>alert(1)</script>",
    "'; DROP TABLE users; --",
    "../../etc/passwd",
    "Zażółć gęślą jaźń",
]

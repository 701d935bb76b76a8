"""A request as WSGI has it, made of an ASGI scope; and a response as ASGI sends it.

Owns: both translations. Must not: answer a request.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from django.http import HttpResponseBase

from longtasks.http.django_internals import get_stored_headers

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Environ = dict[str, Any]
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]  # status, headers and content

_KNOWN_NAMES: Final = 256
_names: Final[dict[bytes, str]] = {}  # headers' names as WSGI has them


async def read_body(receive: Receive) -> bytes | None:
    """Return the whole body; None if the client has left. The server bounds it."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return bytes(message["body"])
    parts: list[bytes] = []
    while message["type"] == "http.request":
        parts.append(message["body"])
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    return None


def build_environ(scope: Scope, body: bytes, *, is_streamed: bool = False) -> Environ:
    """Return a request as WSGI has it. Of a streamed body, it has the Content-Length and not the bytes."""
    raw_path: bytes = scope["raw_path"]
    server, client = scope.get("server"), scope.get("client")
    environ: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": (unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if server is not None and isinstance(server[-1], int):
        environ["SERVER_NAME"], environ["SERVER_PORT"] = server[0], str(server[1])
    if client is not None:
        environ["REMOTE_ADDR"] = client[0]
    for name, value in scope["headers"]:
        key = _names.get(name) or _name(name)
        text = value.decode("latin-1")
        if key in environ:
            text = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{text}"
        environ[key] = text
    if (body or "CONTENT_LENGTH" in environ) and not is_streamed:
        environ["CONTENT_LENGTH"] = str(len(body))  # also of a chunked one
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    return environ


def encode_head(
    response: HttpResponseBase, constant_headers: Iterable[tuple[str, tuple[bytes, bytes]]]
) -> list[tuple[bytes, bytes]]:
    """Return the headers of a response whose content is sent piece by piece; add those headers that it does not have."""
    stored = get_stored_headers(response)
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in stored.values()]
    return headers + [pair for name, pair in constant_headers if name not in stored]


def encode(response: HttpResponseBase, constant_headers: Iterable[tuple[str, tuple[bytes, bytes]]]) -> Answer:
    """Return status, headers and content of a response, which is complete; add those headers that it does not have."""
    content: bytes = response.getvalue()  # type: ignore[attr-defined]
    stored = get_stored_headers(response)
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in stored.values()]
    headers += [pair for name, pair in constant_headers if name not in stored]
    if "content-length" not in stored and not response.streaming:
        headers.append((b"Content-Length", b"%d" % len(content)))
    for cookie in response.cookies.values():
        headers.append((b"Set-Cookie", cookie.output(header="").strip().encode("latin-1")))
    if response.streaming:
        response.close()
    return response.status_code, headers, content


async def send_answer(send: Send, answer: Answer, *, method: str) -> None:
    """Send an answer; without its content where HTTP allows none."""
    status, headers, content = answer
    await send({"type": "http.response.start", "status": status, "headers": headers})
    has_content = method != "HEAD" and status not in (204, 304)
    await send({"type": "http.response.body", "body": content if has_content else b""})


def _name(name: bytes) -> str:
    key = name.decode("latin-1").upper().replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = f"HTTP_{key}"
    if len(_names) < _KNOWN_NAMES:  # clients could fill the memory
        _names[name] = key
    return key

"""Sends one webhook: signs it, connects to a checked address, and returns the outcome.

Owns the signature and the HTTP request. Must not know the database.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from tasks_app.domain.printable import escape
from tasks_app.webhooks import callback_addresses
from tasks_app.webhooks.callback_addresses import RefusedAddress, Target

DELIVERY_HEADER: Final = "Longtasks-Delivery"
TIMESTAMP_HEADER: Final = "Longtasks-Timestamp"
SIGNATURE_HEADER: Final = "Longtasks-Signature"
ERROR_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an attempt. Without an error, the receiver answered 2xx. An error is bounded and printable."""

    error: str | None = None
    is_final: bool = False  # a further attempt would be useless


def sign(*, secret: str, timestamp: str, body: bytes) -> str:
    """Return the signature: HMAC-SHA256 over `<timestamp>.<body>`, in hexadecimal, with the scheme's version."""
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"v1={digest.hexdigest()}"


def send(
    *,
    url: str,
    body: bytes,
    delivery_id: str,
    secret: str,
    timeout_seconds: float,
    allow_private: bool,
    ports: Collection[int] = callback_addresses.PORTS,
) -> Outcome:
    """POST the body once, within `timeout_seconds` in total. Never follows a redirect."""
    try:
        target = callback_addresses.parse(url)
    except ValueError as refusal:  # from a version that accepted it
        return Outcome(error=f"refused: {refusal}"[:200], is_final=True)
    timestamp = str(int(time.time()))
    headers = {
        "Host": target.host_header,
        "User-Agent": "longtasks",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        DELIVERY_HEADER: delivery_id,
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: sign(secret=secret, timestamp=timestamp, body=body),
    }
    deadline = time.monotonic() + timeout_seconds
    try:
        address = callback_addresses.resolve(target, allow_private=allow_private, ports=ports)
        status = _post(target, address, body, headers, deadline)
        error = None
    except RefusedAddress as address_refusal:
        return Outcome(error=escape(str(address_refusal))[:ERROR_CHARACTERS], is_final=True)
    except (OSError, http.client.HTTPException, ValueError) as failure:
        # http.client's errors quote the receiver's bytes.
        status, error = 0, escape(f"{type(failure).__name__}: {failure}"[:ERROR_CHARACTERS])[:ERROR_CHARACTERS]
    if time.monotonic() >= deadline:  # cut off, or too late
        return Outcome(error=f"no answer after {timeout_seconds:g} s")
    if error is not None:
        return Outcome(error=error)
    return Outcome() if 200 <= status < 300 else Outcome(error=f"answered {status}")


class _Connection(http.client.HTTPConnection):
    """A connection to a given address, without a lookup. TLS still verifies the certificate for the host's name."""

    def __init__(self, target: Target, address: str, deadline: float) -> None:
        super().__init__(target.host, target.port)
        self._target, self._address, self._deadline = target, address, deadline

    def connect(self) -> None:
        left_seconds = max(0.01, self._deadline - time.monotonic())
        self.sock = socket.create_connection((self._address, self._target.port), timeout=left_seconds)
        if self._target.is_tls:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self._target.host)


def _post(target: Target, address: str, body: bytes, headers: dict[str, str], deadline: float) -> int:
    connection = _Connection(target, address, deadline)

    def cut() -> None:
        # The socket's own timeout restarts with every byte from a slow receiver.
        sock = connection.sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

    watch = threading.Timer(max(0.01, deadline - time.monotonic()), cut)
    watch.daemon = True
    watch.start()
    try:
        connection.putrequest("POST", target.path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        return connection.getresponse().status
    finally:
        watch.cancel()
        connection.close()

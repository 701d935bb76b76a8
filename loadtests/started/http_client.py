"""Owns HTTP requests to a started service: an answer, or the reason why there is none. Must not: raise for a status."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a request; status 0 and `error` if there was none."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    error: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def send_request(
    method: str, url: str, *, body: bytes | None, headers: Mapping[str, str] | None, timeout_seconds: float
) -> Answer:
    """Send one request; redirects are followed."""
    request = urllib.request.Request(url, data=body, headers=dict(headers or {}), method=method)
    started = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as response:
            status, answered, content, error = response.status, dict(response.headers), response.read(), ""
    except urllib.error.HTTPError as refusal:
        status, answered, content, error = refusal.code, dict(refusal.headers), refusal.read(), ""
    except (OSError, http.client.HTTPException) as failure:  # killed before, or in the middle of, its answer
        status, answered, content, error = 0, {}, b"", str(failure)
    return Answer(status=status, headers=answered, body=content, seconds=time.monotonic() - started, error=error)

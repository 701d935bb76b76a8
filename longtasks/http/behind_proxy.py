"""Reads the client's scheme and the path prefix from the proxy in front of web, for every web server.

Owns writing both into the WSGI environ; the servers' own handling is off (longtasks/gunicorn.py). tasks_app/http/peers.py
decides which proxy is trusted. Must not read X-Forwarded-Host or X-Forwarded-Port: a proxy forwards the Host header.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings

from tasks_app.http import peers, url_prefix


def apply_proxy_headers(environ: dict[str, Any]) -> None:
    """Write the client's scheme into the WSGI environ, and cut the prefix from the path."""
    if peers.is_https(environ):
        environ["wsgi.url_scheme"] = "https"
    if settings.URL_PREFIX:
        environ["PATH_INFO"] = url_prefix.cut(environ.get("PATH_INFO", ""))
        environ["SCRIPT_NAME"] = settings.URL_PREFIX

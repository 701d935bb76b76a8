"""What web takes from the proxy in front of it: the client's scheme, and the prefix of the path.

The same for every server of web; the servers' own ways are off (longtasks/gunicorn.py). Whom to believe says
tasks_app/http/peers.py. X-Forwarded-Host and -Port are not read: a proxy passes the Host header on.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings

from tasks_app.http import peers, url_prefix


def take_from_proxy(environ: dict[str, Any]) -> None:
    """Write the client's scheme into the WSGI environ, and cut the prefix from the path."""
    if peers.is_https(environ):
        environ["wsgi.url_scheme"] = "https"
    if settings.URL_PREFIX:
        environ["PATH_INFO"] = url_prefix.cut(environ.get("PATH_INFO", ""))
        environ["SCRIPT_NAME"] = settings.URL_PREFIX

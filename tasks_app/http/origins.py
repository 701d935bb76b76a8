"""Whether a page of another origin made a browser's request.

Owns this decision, for the API, the admin and the stream. Must not authenticate: clients other than browsers send none
of these headers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tasks_app.conf import settings
from tasks_app.http import peers

_OWN_SITES: Final = frozenset({"same-origin", "none"})  # none: the user's own action, such as typing the URL
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


def is_cross_origin(meta: Mapping[str, Any]) -> bool:
    """Return whether a page of another origin made the request, according to the browser's headers.

    An origin in CSRF_TRUSTED_ORIGINS is ours. Otherwise Sec-Fetch-Site decides if it is present: no page can forge it,
    and no proxy changes it. Browsers send it only to https and to this machine; without it, Origin is compared with
    Host. Behind a proxy that terminates TLS, the request may be http although the page was https. An http page of an
    https service is another origin.
    """
    origin: str | None = meta.get("HTTP_ORIGIN")
    if origin is not None and origin.lower() in settings.CSRF_TRUSTED_ORIGINS:
        return False
    site = meta.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site not in _OWN_SITES
    return origin is not None and not _is_own(origin.lower(), meta)


def _is_own(origin: str, meta: Mapping[str, Any]) -> bool:
    scheme, separator, origin_host = origin.partition("://")
    wants_https = settings.SESSION_COOKIE_SECURE or peers.is_https(meta)
    port = _DEFAULT_PORTS.get(scheme)
    if not separator or port is None or (wants_https and scheme != "https"):
        return False
    host: str = meta.get("HTTP_HOST", "").lower()
    return origin_host.removesuffix(port) == host.removesuffix(port)

"""Whether a browser's request comes from a page of this very origin. The one place that judges origins.

Clients other than browsers send no such headers: who calls is not judged here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings

from tasks_app.http import peers

_OWN_SITES: Final = frozenset({"same-origin", "none"})  # none: the user's own doing, as an address that they type
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


def comes_from_elsewhere(meta: Mapping[str, Any]) -> bool:
    """Tell whether a browser says that a page of another origin made the request.

    An origin that CSRF_TRUSTED_ORIGINS names is ours. Otherwise Sec-Fetch-Site decides where it is there: no page can
    forge it, and no proxy changes it. Browsers send it to https and this machine only; elsewhere Origin is compared with
    Host. Behind a proxy that ends TLS, ours may be http though the page was https; the other way round it is another
    origin.
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

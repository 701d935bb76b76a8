"""The settings of production, which refuse to load values that are safe only on a developer's machine."""

import re

from django.core.exceptions import ImproperlyConfigured

from settings.base import *
from settings.base import ALLOWED_HOSTS, API_OPEN, DEBUG, LOGGING, LONGTASKS, SECRET_KEY, URL_PREFIX, _process
from settings.env import DEVELOPMENT_SECRET_KEY

# The minimum of `check --deploy` (security.W009).
SECRET_KEY_LENGTH = 50
SECRET_KEY_VARIETY = 5
WEBHOOK_SECRET_LENGTH = 32

if not _process.database_url:
    raise ImproperlyConfigured(
        "DATABASE_URL is not set: production needs mysql://user:password@host:3306/name, or SQLite by an explicit "
        "sqlite:////path/to/file."
    )
if not (LONGTASKS.redis_url or LONGTASKS.redis_sentinels):
    raise ImproperlyConfigured(
        "REDIS_URL is not set: production needs redis://user:password@host:6379/0, REDIS_SENTINELS, or a socket by an "
        "explicit unix:///path/to/socket."
    )
if DEBUG:
    raise ImproperlyConfigured("DEBUG='1' is refused in production: it shows internals. Unset it.")
if SECRET_KEY == DEVELOPMENT_SECRET_KEY:
    raise ImproperlyConfigured(
        f"SECRET_KEY is not set: production needs at least {SECRET_KEY_LENGTH} random characters."
    )
for found, what in ((len(SECRET_KEY), "characters"), (len(set(SECRET_KEY)), "different characters")):
    needed = SECRET_KEY_LENGTH if what == "characters" else SECRET_KEY_VARIETY
    if found < needed:
        raise ImproperlyConfigured(f"SECRET_KEY has {found} {what}: production needs at least {needed} random ones.")
if not ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS='' is refused in production: list the host names, comma-separated.")
if API_OPEN:
    raise ImproperlyConfigured("API_OPEN='1' is refused in production: create tokens with `manage.py token create`.")
if 0 < len(LONGTASKS.webhook_secret) < WEBHOOK_SECRET_LENGTH:
    raise ImproperlyConfigured(
        f"WEBHOOK_SECRET has {len(LONGTASKS.webhook_secret)} characters: production needs at least {WEBHOOK_SECRET_LENGTH}."
    )
if LONGTASKS.crash_points:
    raise ImproperlyConfigured(f"CRASH_POINTS={LONGTASKS.crash_points!r} is refused in production: unset it.")

if _process.log_format == "AUTO":
    LOG_FORMAT = "JSON"
    LOGGING["handlers"]["console"]["formatter"] = "json"

SECURE_SSL_REDIRECT = _process.https_only
# Probes and scrapers send plain HTTP from inside the network.
_prefix = f"(?:{re.escape(URL_PREFIX[1:])}/)?" if URL_PREFIX else ""
SECURE_REDIRECT_EXEMPT = [rf"^{_prefix}health/(?:live|ready)/?\Z", rf"^{_prefix}metrics/?\Z"]
SECURE_HSTS_SECONDS = 31_536_000 if _process.https_only else 0
SESSION_COOKIE_SECURE = _process.https_only
CSRF_COOKIE_SECURE = _process.https_only
# HSTS for subdomains and the browsers' preload list are the domain owner's decision.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

"""Production: refuses to start with settings that are only safe on a developer's machine."""

import re

from django.core.exceptions import ImproperlyConfigured

from settings.base import *
from settings.base import ALLOWED_HOSTS, API_OPEN, DEBUG, LOGGING, LONGTASKS, SECRET_KEY, URL_PREFIX, _process
from settings.env import DEVELOPMENT_SECRET_KEY

# What `check --deploy` wants (security.W009).
SECRET_KEY_LENGTH = 50
SECRET_KEY_VARIETY = 5
WEBHOOK_SECRET_LENGTH = 32

if not _process.database_url:
    raise ImproperlyConfigured(
        "DATABASE_URL is not set: production wants mysql://user:password@host:3306/name (SQLite only where it is named: "
        "sqlite:////path/to/file)."
    )
if not (LONGTASKS.redis_url or LONGTASKS.redis_sentinels):
    raise ImproperlyConfigured(
        "REDIS_URL is not set: production wants redis://user:password@host:6379/0, or REDIS_SENTINELS (a socket only "
        "where it is named: unix:///path/to/socket)."
    )
if DEBUG:
    raise ImproperlyConfigured("DEBUG='1' is refused in production: it shows internals. Unset it.")
if SECRET_KEY == DEVELOPMENT_SECRET_KEY:
    raise ImproperlyConfigured(
        f"SECRET_KEY is not set: production wants {SECRET_KEY_LENGTH} random characters or more."
    )
for found, what in ((len(SECRET_KEY), "characters"), (len(set(SECRET_KEY)), "different characters")):
    wanted = SECRET_KEY_LENGTH if what == "characters" else SECRET_KEY_VARIETY
    if found < wanted:
        raise ImproperlyConfigured(f"SECRET_KEY has {found} {what}: production wants {wanted} or more, at random.")
if not ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS='' is refused in production: list the host names, comma-separated.")
if API_OPEN:
    raise ImproperlyConfigured("API_OPEN='1' is refused in production: make tokens with `manage.py token create`.")
if 0 < len(LONGTASKS.webhook_secret) < WEBHOOK_SECRET_LENGTH:
    raise ImproperlyConfigured(
        f"WEBHOOK_SECRET has {len(LONGTASKS.webhook_secret)} characters: production wants {WEBHOOK_SECRET_LENGTH} or more."
    )
if LONGTASKS.crash_points:
    raise ImproperlyConfigured(f"CRASH_POINTS={LONGTASKS.crash_points!r} is refused in production: unset it.")

if _process.log_format == "AUTO":
    LOG_FORMAT = "JSON"
    LOGGING["handlers"]["console"]["formatter"] = "json"

SECURE_SSL_REDIRECT = _process.https_only
# Probes and scrapers come from inside, by plain HTTP.
_prefix = f"(?:{re.escape(URL_PREFIX[1:])}/)?" if URL_PREFIX else ""
SECURE_REDIRECT_EXEMPT = [rf"^{_prefix}health/(?:live|ready)/?\Z", rf"^{_prefix}metrics/?\Z"]
SECURE_HSTS_SECONDS = 31_536_000 if _process.https_only else 0
SESSION_COOKIE_SECURE = _process.https_only
CSRF_COOKIE_SECURE = _process.https_only
# Whether sister hosts speak https, and the browsers' preload list, are for the domain's owner to decide.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

"""Production: refuses to start with settings that are only safe on a developer's machine."""

from django.core.exceptions import ImproperlyConfigured

from settings.base import *  # noqa: F403
from settings.base import ALLOWED_HOSTS, DEBUG, LONGTASKS, SECRET_KEY, _process
from settings.env import DEVELOPMENT_SECRET_KEY

SECRET_KEY_LENGTH = 50

if DEBUG:
    raise ImproperlyConfigured("DEBUG='1' is refused in production: it shows internals. Unset it.")
if SECRET_KEY == DEVELOPMENT_SECRET_KEY:
    raise ImproperlyConfigured(
        f"SECRET_KEY is not set: production wants {SECRET_KEY_LENGTH} random characters or more."
    )
if len(SECRET_KEY) < SECRET_KEY_LENGTH:
    raise ImproperlyConfigured(
        f"SECRET_KEY has {len(SECRET_KEY)} characters:"
        f" production wants {SECRET_KEY_LENGTH} random characters or more."
    )
if not ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS='' is refused in production: name the hosts, by comma.")
if LONGTASKS.crash_points:
    raise ImproperlyConfigured(
        f"CRASH_POINTS={LONGTASKS.crash_points!r} is refused in production: unset it."
    )

SECURE_SSL_REDIRECT = _process.https_only
# Probes and scrapers come from inside, by plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^health/", r"^metrics/?$"]
SECURE_HSTS_SECONDS = 31_536_000 if _process.https_only else 0
SESSION_COOKIE_SECURE = _process.https_only
CSRF_COOKIE_SECURE = _process.https_only
# Whether sister hosts speak https, and the browsers' preload list, are for the domain's owner to decide.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

"""Development, and the embedded stack of `make demo` and `make up`: answers on this machine only."""

from settings.base import *
from settings.base import ALLOWED_HOSTS, API_OPEN, BIND, _process

LOOPBACK = {"localhost", "127.0.0.1", "::1", "[::1]"}

ALLOWED_HOSTS = ALLOWED_HOSTS or ["localhost", "127.0.0.1", "[::1]"]
# Without tokens for whoever sits at this machine; as soon as others can reach it, they need one.
if _process.api_open == "AUTO":
    API_OPEN = {BIND, *ALLOWED_HOSTS} <= LOOPBACK

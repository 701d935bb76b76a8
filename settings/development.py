"""Development, and the embedded stack of `make demo` and `make up`: answers on this machine only."""

from settings.base import *
from settings.base import ALLOWED_HOSTS, API_OPEN, BIND, DATA_DIR, _has_redis, _process

LOOPBACK = {"localhost", "127.0.0.1", "::1", "[::1]"}

# SQLite and the embedded Valkey live there; production has neither unless it names them.
if not (_process.database_url and _has_redis):
    DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)

ALLOWED_HOSTS = ALLOWED_HOSTS or ["localhost", "127.0.0.1", "[::1]"]
# Without tokens for whoever sits at this machine; as soon as others can reach it, they need one.
if _process.api_open == "AUTO":
    API_OPEN = {BIND, *ALLOWED_HOSTS} <= LOOPBACK

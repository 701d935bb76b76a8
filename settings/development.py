"""The settings of development and of the embedded stack (`make demo`, `make up`), which serve this machine only."""

from settings.base import *
from settings.base import ALLOWED_HOSTS, API_OPEN, BIND, DATA_DIR, _has_redis, _process

LOOPBACK = {"localhost", "127.0.0.1", "::1", "[::1]"}

# The directory holds SQLite and the embedded Valkey; production uses neither unless its URLs name them.
if not (_process.database_url and _has_redis):
    DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)

ALLOWED_HOSTS = ALLOWED_HOSTS or ["localhost", "127.0.0.1", "[::1]"]
# No token is needed on this machine; as soon as other machines can reach it, every request needs one.
if _process.api_open == "AUTO":
    API_OPEN = {BIND, *ALLOWED_HOSTS} <= LOOPBACK

"""Development, and the embedded stack of `make demo` and `make up`: answers on this machine only."""

from settings.base import *
from settings.base import ALLOWED_HOSTS

ALLOWED_HOSTS = ALLOWED_HOSTS or ["localhost", "127.0.0.1", "[::1]"]

"""The tests: as development, without the developer's .env file and without what only costs time."""

import os

# Set before env.py reads, and inherited by the processes that tests start.
os.environ.setdefault("ENV_FILE", "")
# Tests are one address, and send wrong tokens by the hundred. Those of the limit set one.
os.environ.setdefault("RATE_LIMIT_PER_ADDRESS", "0")

from settings.development import *

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

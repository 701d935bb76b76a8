"""The tests: as development, without the developer's .env file and without what only costs time."""

import os

# Set before env.py reads, and inherited by the processes that tests start.
os.environ.setdefault("ENV_FILE", "")

from settings.development import *

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

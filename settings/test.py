"""The settings of the tests: development without the developer's .env file, and with a fast password hasher."""

import os

# Set before env.py reads the environment; processes that tests start inherit it.
os.environ.setdefault("ENV_FILE", "")
# All tests have one address and send hundreds of wrong tokens. The tests of the limit set it themselves.
os.environ.setdefault("RATE_LIMIT_PER_ADDRESS", "0")

from settings.development import *

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

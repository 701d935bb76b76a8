"""`python -m settings`: prints the validated process variables as JSON, or one line on stderr that names the error."""

import dataclasses
import json
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from settings.env import load

try:
    _ = settings.SECRET_KEY  # loads DJANGO_SETTINGS_MODULE, which may raise ImproperlyConfigured
    variables = dataclasses.asdict(load().process) | {"log_format": settings.LOG_FORMAT}
    sys.stdout.write(json.dumps(variables, default=str))
except ImproperlyConfigured as error:
    sys.exit(f"longtasks: {error}")

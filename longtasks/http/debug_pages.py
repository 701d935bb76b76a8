"""The filter that hides secrets on Django's debug pages (DEBUG=1).

Owns the names of the hidden settings. Django hides settings by name, and ours also hold secrets in URLs and in the
object LONGTASKS.
"""

import re

from django.views.debug import SafeExceptionReporterFilter


class ReporterFilter(SafeExceptionReporterFilter):
    """Django's filter, with our names added."""

    hidden_settings = re.compile(
        "API|AUTH|TOKEN|KEY|SECRET|PASS|SIGNATURE|HTTP_COOKIE|URL|LONGTASKS|SENTINEL|HEADERS", flags=re.IGNORECASE
    )

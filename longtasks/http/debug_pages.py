"""What Django's pages for developers (DEBUG=1) show of the settings: nothing that may hold a secret.

Django hides settings by their names; ours hold secrets in URLs and in the object LONGTASKS.
"""

import re

from django.views.debug import SafeExceptionReporterFilter


class ReporterFilter(SafeExceptionReporterFilter):
    """Django's own, with our names."""

    hidden_settings = re.compile(
        "API|AUTH|TOKEN|KEY|SECRET|PASS|SIGNATURE|HTTP_COOKIE|URL|LONGTASKS|SENTINEL|HEADERS", flags=re.IGNORECASE
    )

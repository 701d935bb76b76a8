"""The admin's settings: its appearance (django-unfold), and the pages before and after its login."""

from typing import Any

from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _

# The page after a login, if no other page was requested before.
LOGIN_REDIRECT_URL = "admin:index"
LOGIN_URL = "admin:login"

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "longtasks",
    "SITE_HEADER": "longtasks",
    "SITE_SUBHEADER": _("Task dashboard"),
    "SITE_SYMBOL": "hourglass_top",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("tasks_app/icon.svg")},
    ],
    "SHOW_HISTORY": False,
    "SHOW_LANGUAGES": True,
    "DASHBOARD_CALLBACK": "tasks_app.admin.overview.add_overview",
    "SIDEBAR": {"navigation": "tasks_app.admin.navigation.get_navigation"},
    "STYLES": [lambda request: static("tasks_app/dashboard.css")],
    "SCRIPTS": [lambda request: static("tasks_app/keyboard.js"), lambda request: static("tasks_app/live.js")],
    "COLORS": {
        "primary": {
            "50": "oklch(97.7% .014 250)",
            "100": "oklch(94.5% .03 251)",
            "200": "oklch(88.8% .06 253)",
            "300": "oklch(81% .105 252)",
            "400": "oklch(70.7% .155 254)",
            "500": "oklch(66% .175 257)",
            "600": "oklch(50.5% .2 261)",
            "700": "oklch(46% .19 263)",
            "800": "oklch(40% .16 265)",
            "900": "oklch(35% .13 266)",
            "950": "oklch(27% .09 268)",
        },
    },
}

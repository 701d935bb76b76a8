"""The template tag that loads the dashboard's styles and scripts on its pages in the admin of another project.

Owns their list there; this project's admin loads them on each page (UNFOLD in settings/admin.py).
"""

from __future__ import annotations

from typing import Final

from django import template
from django.templatetags.static import static
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from tasks_app.conf.project import is_embedded

register = template.Library()
STYLES: Final = ("tasks_app/dashboard.css",)
SCRIPTS: Final = ("tasks_app/keyboard.js", "tasks_app/live.js")


@register.simple_tag
def dashboard_assets() -> SafeString:
    """Return the elements for the head of a page."""
    if not is_embedded():
        return SafeString()
    styles = format_html_join("", '<link rel="stylesheet" href="{}">', ((static(each),) for each in STYLES))
    scripts = format_html_join("", '<script src="{}" defer></script>', ((static(each),) for each in SCRIPTS))
    return styles + scripts

"""The look of the admin's pages: django-unfold's where it is installed, else Django's own.

Owns this choice. Must not require unfold: another project may have another theme, or none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import apps

if TYPE_CHECKING or apps.is_installed("unfold"):
    from unfold.admin import ModelAdmin
    from unfold.decorators import display
else:
    from django.contrib.admin import ModelAdmin, display

__all__ = ["ModelAdmin", "display"]

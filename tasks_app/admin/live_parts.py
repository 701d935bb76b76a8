"""The live parts of pages: their templates are rendered again and sent as JSON, and live.js updates the page.

Owns the form of that JSON. A part is one HTML element with an id. Must not know what a part shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse


def parts_response(request: HttpRequest, parts: Mapping[str, tuple[str, Mapping[str, Any]]]) -> JsonResponse:
    """Return {"parts": {element id: HTML}}; `parts` names each element's template and context."""
    html = {name: render_to_string(template, dict(context), request) for name, (template, context) in parts.items()}
    return JsonResponse({"parts": html}, headers={"Cache-Control": "no-store"})


def render_page(request: HttpRequest, template: str, context: Mapping[str, Any]) -> HttpResponse:
    """Return a page with the admin's layout."""
    request.current_app = admin.site.name  # type: ignore[attr-defined]
    return TemplateResponse(request, template, {**admin.site.each_context(request), **context})

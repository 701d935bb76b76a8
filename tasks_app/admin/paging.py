"""The links of a page of a list: to its newest page and to the next one.

Owns the template context of tasks_app/pages.html.
"""

from __future__ import annotations

from django.http import HttpRequest


def paging_context(request: HttpRequest, *, next_cursor: str) -> dict[str, str]:
    """Return the context of the links; the filters of the address are kept."""
    parameters = request.GET.copy()
    cursor = request.GET.get("cursor", "")
    parameters.pop("cursor", None)
    newest = parameters.urlencode()
    parameters["cursor"] = next_cursor
    return {
        "cursor": cursor,
        "newest_query": newest,
        "next_query": parameters.urlencode() if next_cursor else "",
    }

"""The lines that `manage.py up` and `manage.py demo` print when the stack is ready: its pages, and how to create a user.

Owns their wording and order. Must not start a process or query a store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CREATE_USER: Final = 'make manage ARGS="createsuperuser"'
_PAGES: Final = {"page": "/", "API docs": "/docs", "admin": "/admin/", "health": "/health/ready"}


def list_pages(address: str, *, prefix: str = "", create_user: str = CREATE_USER) -> dict[str, str]:
    """Return the full address of each page by its label, and the command that creates an admin user.

    `address` is web's address. A browser cannot open a Unix socket, so only the socket is listed then.
    """
    if address.startswith("unix:"):
        return {"address": address, "admin user": create_user}
    pages = {label: f"{address}{prefix}{path}" for label, path in _PAGES.items()}
    return {**pages, "admin user": create_user}


def format_banner(title: str, rows: Mapping[str, str]) -> str:
    """Return the title and one aligned line for each row, with an empty line before and after."""
    width = max(map(len, rows), default=0)
    return "\n".join(["", f"  {title}", *(f"  {label:<{width}}  {value}" for label, value in rows.items()), ""])

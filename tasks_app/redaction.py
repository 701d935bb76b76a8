"""Takes passwords, tokens and keys out of texts that people will read: log lines, findings of the doctor."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "***"
_SECRETS: Final = (
    # user:password@ in a URL
    (re.compile(r"(?P<keep>[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@]+(?=@)", re.IGNORECASE), rf"\g<keep>{HIDDEN}"),
    # Authorization: Bearer …, Basic …
    (re.compile(r"(?P<keep>\b(?:bearer|basic)\s+)[\w.~+/=-]{6,}", re.IGNORECASE), rf"\g<keep>{HIDDEN}"),
    # password=…, 'token': '…', SECRET_KEY='…', sessionid=…
    (
        re.compile(
            r"""(?P<keep>\b[\w-]*(?:password|passwd|secret|token|api[_-]?key|sessionid|csrftoken|cookie)[\w-]*["']?"""
            r"""\s*[=:]\s*["']?)[^\s"',;&)}\]]+""",
            re.IGNORECASE,
        ),
        rf"\g<keep>{HIDDEN}",
    ),
)


def hide_secrets(text: str) -> str:
    """Return the text with passwords, tokens and keys replaced by ***."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text

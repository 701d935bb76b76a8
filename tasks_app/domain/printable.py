"""Makes text of unknown origin safe to print: control characters and lone surrogates become Python's escapes.

Owns which characters are unsafe in a line of a terminal, in several lines, and in JSON. Must not shorten anything.
"""

from __future__ import annotations

import re
from typing import Final

# Lone surrogates cannot be encoded as UTF-8; the other characters move the cursor, erase, reorder text or end a line.
_UNSAFE: Final = "\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
IN_JSON: Final = re.compile(f"[{_UNSAFE}]")  # JSON escapes the characters below \x20 itself
SURROGATES: Final = re.compile("[\ud800-\udfff]")
IN_LINE: Final = re.compile(f"[\x00-\x1f{_UNSAFE}]")
IN_LINES: Final = re.compile(f"[\x00-\x08\x0b-\x1f{_UNSAFE}]")


def escape(text: str, *, unsafe: re.Pattern[str] = IN_LINE) -> str:
    """Return the text with each unsafe character as an escape: \\x1b, \\u2028, \\udce9."""
    return unsafe.sub(_escape_one, text)


def _escape_one(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")

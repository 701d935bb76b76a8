"""The names and content types that files may have: what a client or a task type says, bounded and validated.

Owns both rules, and the first as a pattern of JSON Schema too. A name is shown and sent back, and never used as a path.
"""

from __future__ import annotations

import re
from typing import Final

from tasks_app.domain.printable import IN_LINE

NAME_CHARACTERS: Final = 255
CONTENT_TYPE_CHARACTERS: Final = 100
BINARY: Final = "application/octet-stream"
# What check_name accepts, for the OpenAPI document (ECMA-262, Unicode): the second class are the blanks of str.strip.
_NEVER: Final = r"/\\\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069"
_BLANK: Final = r" \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
NAME_PATTERN: Final = rf"^(?!\.{{1,2}}$)[^{_NEVER}{_BLANK}](?:[^{_NEVER}]*[^{_NEVER}{_BLANK}])?$"
_CONTENT_TYPE: Final = re.compile(
    r"[A-Za-z0-9!#$&^_.+-]{1,60}/[A-Za-z0-9!#$&^_.+-]{1,60}(?:; ?charset=\"?[A-Za-z0-9_.:-]{1,30}\"?)?\Z"
)


class InvalidFileName(ValueError):
    """The name is empty, too long, or contains what no name may contain."""


def check_name(name: str) -> str:
    """Return the name. Raises InvalidFileName, which says what is accepted."""
    if not 0 < len(name) <= NAME_CHARACTERS:
        raise InvalidFileName(f"The name has {len(name)} characters: 1 to {NAME_CHARACTERS} are accepted.")
    if name in (".", "..") or "/" in name or "\\" in name:
        raise InvalidFileName("The name is a path: give a name without / and \\.")
    if IN_LINE.search(name):
        raise InvalidFileName("The name contains a control character, or one that changes the order of text.")
    if name != name.strip():
        raise InvalidFileName("The name begins or ends with a blank.")
    return name


def clean_content_type(content_type: str) -> str:
    """Return a valid content type as it is given; application/octet-stream for any other text."""
    text = content_type.strip() if len(content_type) <= CONTENT_TYPE_CHARACTERS else ""
    return text if _CONTENT_TYPE.match(text) else BINARY

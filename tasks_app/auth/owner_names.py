"""The check of a new token's owner name: rejects names that could be mistaken for another name.

Owns the check. Owners are compared byte by byte, so two names that look the same would be two owners. Must not touch
existing owners. It does not detect letters of different alphabets that look alike.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Unicode categories: controls, formats (soft hyphen, joiners, direction marks), lone surrogates, private and unassigned
# characters, and every separator.
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
# Letters, marks and symbols that are not visible: fillers and variation selectors.
_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def check_owner_name(name: str, *, most: int) -> None:
    """Raise ValueError if the name of a new owner is invalid; the message says how to fix it."""
    if not 1 <= len(name) <= most:
        raise ValueError(f"owner has {len(name)} characters: give 1 to {most}")
    if name != name.strip():
        raise ValueError(f"owner is {name!a}: remove the space before or after it")
    for position, character in enumerate(name, start=1):
        if character != " " and (unicodedata.category(character) in _INVISIBLE or _BLANK.match(character)):
            raise ValueError(
                f"owner is {name!a}: remove character {position}, U+{ord(character):04X}, which is invisible"
            )
    composed = unicodedata.normalize("NFC", name)
    if composed != name:
        raise ValueError(f"owner is {name!a}: give it in Unicode's composed form (NFC), {composed!a}")

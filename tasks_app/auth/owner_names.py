"""Which names a new token's owner may have: none that people would take for another.

Owns the check. Owners are compared byte by byte everywhere, so names that look the same but differ would be two owners.
Those that exist stay what they are. Letters of two alphabets that look alike are not told apart here.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Controls, formats (soft hyphen, joiners, marks of direction), lone surrogates, private and unassigned characters, and
# every space but the usual one …
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
# … and what counts as a letter, a mark or a symbol, but shows nothing: fillers and selectors of variants.
_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def check_owner_name(name: str, *, most: int) -> None:
    """Raise ValueError that says what is wrong with the name of a new owner, and what to give."""
    if not 1 <= len(name) <= most:
        raise ValueError(f"owner has {len(name)} characters: give 1 to {most}")
    if name != name.strip():
        raise ValueError(f"owner is {name!a}: leave out the space before or behind it")
    for position, character in enumerate(name, start=1):
        if character != " " and (unicodedata.category(character) in _INVISIBLE or _BLANK.match(character)):
            raise ValueError(
                f"owner is {name!a}: leave out character {position}, U+{ord(character):04X}, which is invisible"
            )
    composed = unicodedata.normalize("NFC", name)
    if composed != name:
        raise ValueError(f"owner is {name!a}: give it in Unicode's composed form (NFC), {composed!a}")

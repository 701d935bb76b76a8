"""Phone numbers in the form of E.164. Must not know users."""

from __future__ import annotations


def to_e164(phone: str, *, country_code: int) -> str | None:
    """Return a phone number as + and 8 to 15 digits; None if it cannot be read."""
    text = phone.strip()
    digits = "".join(character for character in text if character in "0123456789")
    if any(character not in "0123456789 +()-./" for character in text):
        return None
    if not text.startswith("+"):
        if digits.startswith("00"):
            digits = digits[2:]
        elif not (country_code == 1 and len(digits) == 11 and digits.startswith("1")):
            digits = f"{country_code}{digits.removeprefix('0')}"
    return f"+{digits}" if 8 <= len(digits) <= 15 else None

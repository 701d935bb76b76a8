"""Removes passwords, tokens, tickets and keys from texts for people: log lines and findings of the doctor.

Owns the patterns of secrets, and how a long text is shortened without showing a part of a secret. Every function here
takes linear time for any text, because every log line passes through it.
"""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "***"
CHARACTERS: Final = 20_000  # maximum of one text in a log line
_MARGIN: Final = 4_000  # read beyond the cut, so that a secret at the cut is recognized
_WORD: Final = re.compile(r"\S++")
# user:password@ in a URL. Applied to text that ends with an @, so every attempt finds an end.
_URL: Final = re.compile(r"(?P<keep>(?<=[a-z0-9+.-])://[^\s:/@]*+:)[^\s@]++", re.IGNORECASE)
# Authorization: Bearer …, Basic …
_AUTHORIZATION: Final = re.compile(r"(?P<keep>\b(?:bearer|basic)\s++)[\w.~+/=-]{6,}+", re.IGNORECASE)
# Our own tokens, anywhere in a text.
_TOKEN: Final = re.compile(r"(?P<keep>lt_)[\w-]{40,}+", re.ASCII)
# password=…, 'token': '…', SECRET_KEY='…', sessionid=… A name without a value matches too, so that no part of a text is
# matched twice.
_NAMED: Final = re.compile(
    r"""(?P<keep>(?:password|passwd|secret|token|ticket|api[_-]?key|sessionid|csrftoken|cookie)[\w-]*+)"""
    r"""(?P<tail>\\?["']?\s*+[=:]\s*+\\?["']?)?+(?(tail)(?P<value>[^\s"'\\,;&)}\]]*+)|)""",
    re.IGNORECASE,
)


def hide_secrets(text: str) -> str:
    """Return the text with passwords, tokens and keys replaced by ***."""
    if "://" in text and "@" in text:
        text = _WORD.sub(_hide_in_word, text)
    text = _AUTHORIZATION.sub(rf"\g<keep>{HIDDEN}", text)
    text = _TOKEN.sub(rf"\g<keep>{HIDDEN}", text)
    return _NAMED.sub(_hide_value, text)


def shorten(text: str, *, characters: int = CHARACTERS) -> str:
    """Return the text without secrets; of a long text the beginning, the number of omitted characters, and the end."""
    if len(text) <= characters:
        return hide_secrets(text)
    half = characters // 2
    # The added @ ends a URL whose own @ lies beyond the cut.
    head = hide_secrets(text[: half + _MARGIN] + "@")[:half]
    tail = text[-half - _MARGIN :]
    # The first word of the tail may be the second half of a secret.
    cut_word = _WORD.match(tail)
    tail = hide_secrets(tail[cut_word.end() :] if cut_word else tail)[-half:]
    return f"{head} … {len(text) - len(head) - len(tail)} characters left out … {tail}"


def _hide_in_word(word: re.Match[str]) -> str:
    text = word[0]
    end = text.rfind("@")
    if end < 0 or "://" not in text:
        return text
    return _URL.sub(rf"\g<keep>{HIDDEN}", text[: end + 1]) + text[end + 1 :]


def _hide_value(match: re.Match[str]) -> str:
    return f"{match['keep']}{match['tail'] or ''}{HIDDEN if match['value'] else ''}"

"""Links to files: addresses that work without a token until they expire.

Owns their form, `<file>.<seconds since 1970>~<signature>`, signed with SECRET_KEY. Whoever has a link can read the file,
so only the file's owner gets one. Must not read a file.
"""

from __future__ import annotations

import re
import time
import uuid
from typing import Final

from django.core.signing import BadSignature, Signer

from tasks_app.errors import LinkExpired, UnknownFile

LINK_SECONDS: Final = 3600
LINK_CHARACTERS: Final = 200
_VALUE: Final = re.compile(r"([0-9a-f]{32})\.([0-9]{1,12})\Z")


def make_link(file_id: uuid.UUID) -> tuple[str, int]:
    """Return a link, and when it expires, in seconds since 1970: in one hour to two.

    All links to a file that are made within an hour are equal, so a response that shows one keeps its ETag.
    """
    expires = (int(time.time()) // LINK_SECONDS + 2) * LINK_SECONDS
    return _signer().sign(f"{file_id.hex}.{expires}"), expires


def read_link(link: str) -> uuid.UUID:
    """Return the file that a link names. Raises UnknownFile for what we did not sign, and LinkExpired."""
    if len(link) > LINK_CHARACTERS:
        raise UnknownFile("")
    try:
        value = _VALUE.match(_signer().unsign(link))
    except BadSignature:
        value = None
    if value is None:
        raise UnknownFile("")
    if int(value[2]) <= time.time():
        raise LinkExpired
    return uuid.UUID(value[1])


def _signer() -> Signer:
    return Signer(sep="~", salt="longtasks.files.links")

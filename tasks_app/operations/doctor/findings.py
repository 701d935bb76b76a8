"""What the doctor says of one thing: how bad it is, what was found, and what mends it.

Owns the form of a finding. Must not look at anything.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from tasks_app.observability.redaction import hide_secrets

OK: Final = "ok"
WARNING: Final = "warning"
FAULT: Final = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: str
    check: str
    found: str
    mend: str = ""

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def one_line(error: BaseException) -> str:
    return hide_secrets(" ".join(str(error).split()) or type(error).__name__)

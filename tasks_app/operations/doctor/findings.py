"""A finding of the doctor: its level, what was found, and how to fix it.

Owns the form of a finding. Must not run any check.
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
    """The result of one check. `mend` (its name in the JSON) says how to fix the fault; empty for level OK."""

    level: str
    check: str
    found: str
    mend: str = ""

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def one_line(error: BaseException) -> str:
    """Return the error's message on one line, without secrets; its class name if the message is empty."""
    return hide_secrets(" ".join(str(error).split()) or type(error).__name__)

"""A marked secret for every setting that holds one, and the search for it in any form.

Owns: the list of settings that hold secrets. `test_marks` fails for a new text setting that is in neither list.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

# Valid characters of a password that URLs, shells and quotes often handle wrongly.
ODD: Final = "/@:#?&=+% \"'\\"
# Settings of text that hold no secret.
HARMLESS: Final = frozenset(
    {
        "ALLOWED_HOSTS", "API_OPEN", "BIND", "CRASH_POINTS", "CSRF_TRUSTED_ORIGINS", "DATA_DIR", "FILE_DIR", "FILE_STORAGE",
        "FORWARDED_ALLOW_IPS", "LOG_FORMAT", "LOG_LEVEL", "QUEUES", "REDIS_MASTER_NAME", "REDIS_SENTINELS",
        "REDIS_SENTINEL_USERNAME", "SCRIPT_NAME", "WEBHOOK_PORTS",
    }
)  # fmt: skip
# Settings of text that hold a secret, and other variables that reach the processes.
MARKED: Final = (
    "DATABASE_URL", "DATABASE_READ_URL", "DATABASE_PASSWORD", "REDIS_URL", "REDIS_SENTINEL_PASSWORD", "SECRET_KEY",
    "WEBHOOK_SECRET", "FILE_STORAGE_OPTIONS",
    "OTEL_EXPORTER_OTLP_HEADERS", "DJANGO_SUPERUSER_PASSWORD",
)  # fmt: skip


@dataclass(slots=True)
class Marks:
    """Secrets by the name of their holder: a marked start, odd characters, a marked end."""

    secrets: dict[str, str] = field(default_factory=dict)
    _cores: dict[str, str] = field(default_factory=dict)  # core: name

    def make(self, name: str, *, odd: str = "") -> str:
        """Create the secret of a name."""
        first, last = (f"m4rk{uuid.uuid4().hex[:16]}" for _ in range(2))
        self._cores |= {first: name, last: name}
        self.secrets[name] = first + odd + last
        return self.secrets[name]

    def add(self, name: str, secret: str) -> None:
        """Search for a secret that was created elsewhere, too."""
        self.secrets[name] = secret
        self._cores[secret] = name

    def find(self, texts: Mapping[str, str | bytes]) -> list[str]:
        """Return which secrets are where: in clear, URL-encoded or in base64 (a core survives all other encodings)."""
        found = []
        forms = {form: name for core, name in self._cores.items() for form in _forms(core)}
        for where, text in texts.items():
            data = text.encode(errors="replace") if isinstance(text, str) else text
            for form, name in forms.items():
                at = data.find(form)
                if at >= 0:
                    shown = data[max(0, at - 120) : at + 60]
                    found.append(f"{name} in {where}: …{shown!r}…")
        return found


def _forms(core: str) -> Iterable[bytes]:
    data = core.encode()
    yield data
    yield quote(core, safe="").encode()
    for shift in range(3):  # base64 of a longer text: the middle does not depend on the text around it
        encoded = base64.b64encode(b"x" * shift + data)
        yield encoded[4 if shift else 0 : -4]
    yield data.hex().encode()

"""The label of a parameter in a form.

Owns the words for a field without a label of its own. Must not translate them: the caller knows the reader's language.
"""

from __future__ import annotations

import re
from typing import Any


def field_label(field: Any) -> str:
    """Return the field's label; for a field without one, its name in words: numRecords, Num records."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", field.field_name).replace("_", " ").capitalize()
    return words if "label" not in field._kwargs else str(field.label)

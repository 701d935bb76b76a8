"""The label of a parameter in a form.

Owns the words for a field without a label of its own. Must not translate them: the caller knows the reader's language.
"""

from __future__ import annotations

import re
from typing import Any

from tasks_app.task_types.rest_framework_internals import has_own_label


def field_label(field: Any) -> str:
    """Return the field's label; for a field without one, its name in words: numRecords, Num records."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", field.field_name).replace("_", " ").capitalize()
    return str(field.label) if has_own_label(field) else words

"""How a setting is declared: a dataclass field with its meaning and its bounds.

Must not read the environment (settings/env.py) or judge a value (values.py).
"""

import dataclasses
from collections.abc import Callable
from typing import Any


def variable(
    default: Any,
    meaning: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    schemes: tuple[str, ...] = (),
    check: Callable[[str], Any] | None = None,
) -> Any:
    """Declare a dataclass field that is read from the environment variable of the same name in upper case.

    `check` converts the text to the value; it raises ValueError with a description of what is accepted.
    """
    metadata = {
        "meaning": meaning,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "schemes": schemes,
        "check": check,
    }
    return dataclasses.field(default=default, metadata=metadata)

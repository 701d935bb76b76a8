"""The check of QUEUES, the names of the queues, most urgent first. Must not read a variable (settings/env.py)."""

import re

HIGH = "high"
LOW = "low"
NAME_CHARACTERS = 32  # length of the columns that hold a queue's name
MOST_QUEUES = 16
NAME = re.compile(rf"[a-z][a-z0-9_-]{{0,{NAME_CHARACTERS - 1}}}\Z")
ACCEPTED = (
    f"high first, then low and other names in order of urgency, comma-separated, each once and at most {MOST_QUEUES}; "
    f"a name is a lower-case letter, then up to {NAME_CHARACTERS - 1} lower-case letters, digits, - and _"
)


def check_queues(text: str) -> tuple[str, ...]:
    """Return the names of the queues. Raises ValueError that names the accepted values."""
    names = tuple(name.strip() for name in text.split(","))
    is_valid = all(NAME.match(name) for name in names) and len(set(names)) == len(names) <= MOST_QUEUES
    if not is_valid or names[0] != HIGH or LOW not in names:
        raise ValueError(ACCEPTED)
    return names

"""What QUEUES may say: the names of the queues, most urgent first. Must not read a variable: env.py does."""

import re

HIGH = "high"
LOW = "low"
NAME_CHARACTERS = 32  # what the columns that hold a queue's name take
MOST_QUEUES = 16
NAME = re.compile(rf"[a-z][a-z0-9_-]{{0,{NAME_CHARACTERS - 1}}}\Z")
ACCEPTED = (
    f"high first, low, and further names in the order of their urgency, comma-separated, each once and {MOST_QUEUES} at "
    f"most; a name is a lower-case letter, then up to {NAME_CHARACTERS - 1} lower-case letters, digits, - and _"
)


def check_queues(text: str) -> tuple[str, ...]:
    """Return the names of the queues; raise ValueError with what is accepted."""
    names = tuple(name.strip() for name in text.split(","))
    is_right = all(NAME.match(name) for name in names) and len(set(names)) == len(names) <= MOST_QUEUES
    if not is_right or names[0] != HIGH or LOW not in names:
        raise ValueError(ACCEPTED)
    return names

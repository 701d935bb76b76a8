"""The OPTIONS of a backend in the setting TASKS.

Owns their names, defaults and checks. Must not know tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tasks_app.conf import settings
from tasks_app.domain.error_text import describe_value
from tasks_app.webhooks import callback_addresses

_OWNER_CHARACTERS: Final = 64
_ATTEMPTS: Final = 1_000
_TIMEOUT_SECONDS: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class BackendOptions:
    """The options of one backend. A task may have its own `transaction`."""

    transaction: bool = True  # does a function run in the transaction that stores its result?
    attempts: int = 1  # runs of a function that raises; not those that the death of a worker has ended
    timeout: float | None = None  # longest time of a function in seconds; None: JOB_TIMEOUT_SECONDS
    owner: str = ""  # of the tasks: tokens of this owner see them
    callback_url: str = ""  # gets a webhook at the end of each task


_CHECKS: Final[dict[str, tuple[str, Callable[[Any], bool]]]] = {
    "transaction": ("True or False", lambda value: type(value) is bool),
    "attempts": (f"an int from 1 to {_ATTEMPTS}", lambda value: type(value) is int and 1 <= value <= _ATTEMPTS),
    "timeout": (
        f"None, or a number of seconds up to {_TIMEOUT_SECONDS}",
        lambda value: value is None or (type(value) in (int, float) and 0 < value <= _TIMEOUT_SECONDS),
    ),
    "owner": (
        f"a text of at most {_OWNER_CHARACTERS} characters",
        lambda value: type(value) is str and len(value) <= _OWNER_CHARACTERS and value.isprintable(),
    ),
    "callback_url": (
        "an address to which webhooks may go",
        lambda value: type(value) is str and (not value or _is_address(value)),
    ),
}


def read_options(options: Mapping[str, Any]) -> BackendOptions:
    """Return the options that are valid; the others have their defaults (`find_faults` reports them)."""
    wrong = {name for name, _ in find_faults(options)}
    return BackendOptions(**{name: value for name, value in options.items() if name not in wrong})


def find_faults(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the name of each option that is not valid, and what would be accepted."""
    faults = []
    for name, value in options.items():
        if name not in _CHECKS:
            faults.append((str(name), f"there is no option {describe_value(name)}; known: {', '.join(_CHECKS)}"))
        elif not _CHECKS[name][1](value):
            faults.append((name, f"{name} is {describe_value(value)}; accepted: {_CHECKS[name][0]}"))
    return faults


def _is_address(url: str) -> bool:
    if len(url) > callback_addresses.CHARACTERS:
        return False
    return callback_addresses.is_acceptable(url, allow_private=settings.LONGTASKS.webhook_allow_private)

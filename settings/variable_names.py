"""Decides which names of variables are ours, and refuses those that were meant to be.

Owns the rule: in `.env` every name must be known; in the environment, which holds others' variables too, a name is
refused that is one slip of the keyboard away from one of ours. Kubernetes sets LONGTASKS_STREAM_PORT and the like for its
services, so a prefix is no slip.
"""

import difflib
from collections.abc import Collection, Iterable
from pathlib import Path

# Read before the settings are: in the environment they have an effect, in `.env` they would have none.
READ_EARLIER = ("DJANGO_SETTINGS_MODULE", "ENV_FILE", "PROMETHEUS_MULTIPROC_DIR")
# Variables of other programs that `.env` may contain: OpenTelemetry's, createsuperuser's, and those of compose alone.
OTHERS = ("OTEL_", "DJANGO_SUPERUSER_", "COMPOSE_", "MARIADB_")
# Variables of earlier versions: they are ignored, and web's start names those that are set.
RETIRED = ("STREAM_PORT", "WEB_SERVER")
# Shorter names (PORT, BIND, DEBUG) are similar to too many other names.
SHORTEST_LIKENESS = 6


def find_strange_in_file(names: Iterable[str], *, known: Collection[str], path: Path) -> str:
    """Return one line on the first name in `.env` that nobody would read; "" where there is none."""
    for name in names:
        if name in known or name in RETIRED or name.startswith(OTHERS):
            continue
        if name in READ_EARLIER:
            return f"{name} has no effect in {path}: set it in the environment."
        nearest = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.6)
        hint = f"Is {nearest[0]} meant?" if nearest else "Take it out; .env.example has all that are known."
        return f"{name} in {path} is not a variable of longtasks. {hint}"
    return ""


def find_near_miss(names: Iterable[str], *, known: Collection[str]) -> str:
    """Return one line on the first name in the environment that is almost one of ours; "" where there is none."""
    ours = (*known, *READ_EARLIER)
    for name in names:
        if name in ours:
            continue
        upper = name.upper()
        meant = [
            each for each in ours if upper == each or (len(each) >= SHORTEST_LIKENESS and _is_one_slip(upper, each))
        ]
        if meant:
            return f"{name} is not a variable of longtasks. Is {meant[0]} meant? If not, unset {name} for longtasks."
    return ""


def describe_retired(names: Collection[str]) -> str:
    """Return one line on the variables of earlier versions that are set; "" where there are none."""
    found = [name for name in RETIRED if name in names]
    if not found:
        return ""
    verb, them = ("has", "it") if len(found) == 1 else ("have", "them")
    return (
        f"{' and '.join(found)} {verb} no effect any more: web serves the live stream too, on PORT. Remove {them},"
        " and let the proxy send /stream to PORT."
    )


def _is_one_slip(one: str, other: str) -> bool:
    """Tell whether a character is missing, too much or another, or two have changed places."""
    if abs(len(one) - len(other)) > 1:
        return False
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    return max(len(one), len(other)) == 1 or (len(one) == 2 and one == other[::-1])

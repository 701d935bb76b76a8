"""Finds misspelt names of our variables, in `.env` and in the environment.

Owns the rule: in `.env` every name must be known. The environment also holds variables of other programs, so a name there
is refused only if it is one typo away from one of ours. An added prefix is not a typo, because Kubernetes sets variables
such as LONGTASKS_STREAM_PORT for its services.
"""

import difflib
from collections.abc import Collection, Iterable
from pathlib import Path

# Read before `.env`: they have an effect in the environment only.
READ_EARLIER = ("DJANGO_SETTINGS_MODULE", "ENV_FILE", "PROMETHEUS_MULTIPROC_DIR")
# Variables of other programs that `.env` may contain: OpenTelemetry's, createsuperuser's and compose's.
OTHERS = ("OTEL_", "DJANGO_SUPERUSER_", "COMPOSE_", "MARIADB_")
# Variables of earlier versions: they are ignored, and web's start names those that are set.
RETIRED = ("STREAM_PORT", "WEB_SERVER")
# Shorter names (PORT, BIND, DEBUG) are similar to too many other names.
SHORTEST_MISSPELT = 6


def find_strange_in_file(names: Iterable[str], *, known: Collection[str], path: Path) -> str:
    """Return one line on the first name in `.env` that is unknown; "" if there is none."""
    for name in names:
        if name in known or name in RETIRED or name.startswith(OTHERS):
            continue
        if name in READ_EARLIER:
            return f"{name} has no effect in {path}: set it in the environment."
        nearest = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.6)
        hint = f"Did you mean {nearest[0]}?" if nearest else "Remove it; .env.example lists all variables."
        return f"{name} in {path} is not a variable of longtasks. {hint}"
    return ""


def find_near_miss(names: Iterable[str], *, known: Collection[str]) -> str:
    """Return one line on the first name in the environment that is a misspelt name of ours; "" if there is none."""
    ours = (*known, *READ_EARLIER)
    for name in names:
        if name in ours:
            continue
        upper = name.upper()
        meant = [
            each for each in ours if upper == each or (len(each) >= SHORTEST_MISSPELT and _is_one_typo(upper, each))
        ]
        if meant:
            return (
                f"{name} is not a variable of longtasks. Did you mean {meant[0]}? If not, unset {name} for longtasks."
            )
    return ""


def describe_retired(names: Collection[str]) -> str:
    """Return one line on the variables of earlier versions that are set; "" if there are none."""
    found = [name for name in RETIRED if name in names]
    if not found:
        return ""
    verb, them = ("has", "it") if len(found) == 1 else ("have", "them")
    return (
        f"{' and '.join(found)} {verb} no effect any more: web serves the live stream too, on PORT. Remove {them},"
        " and let the proxy send /stream to PORT."
    )


def _is_one_typo(one: str, other: str) -> bool:
    """Return whether the names differ by one missing, added, replaced or swapped character."""
    if abs(len(one) - len(other)) > 1:
        return False
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    return max(len(one), len(other)) == 1 or (len(one) == 2 and one == other[::-1])

"""The matrix as text: a row for each address, with who is allowed and what the others get. Owns: its layout only."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from tests.security.callers import Caller
from tests.security.doors import METHODS, Door, list_doors
from tests.security.rules import rule_of


def write_table(everybody: Sequence[Caller], tried: int) -> str:
    """Return the matrix as Markdown: per address the methods, who is allowed, and the number of each answer."""
    doors: dict[str, list[Door]] = defaultdict(list)
    for door in list_doors():
        doors[f"{door.route} [{door.action}]".removesuffix(" []")].append(door)
    lines = ["| door | who may | cells that may | cells that may not: status × number |", "|---|---|---|---|"]
    for name, methods in doors.items():
        rule = rule_of(methods[0])
        assert rule is not None
        yes, no = 0, Counter[str]()
        for door in methods:
            for caller in everybody:
                may, statuses = rule.expect(caller, door)
                yes += may
                if not may:
                    no["/".join(map(str, sorted(statuses)))] += 1
        refused = ", ".join(f"{status} × {number}" for status, number in sorted(no.items()))
        lines.append(f"| `{name or '(all others)'}` | {rule} | {yes} | {refused} |")
    number = sum(map(len, doors.values()))
    size = f"{number:,} doors ({len(doors)} addresses and actions, methods {', '.join(METHODS)})"
    lines += ["", f"{size} × {len(everybody)} callers = {number * len(everybody):,} cells; {tried:,} tried here, the"]
    lines += [
        "stream's in tests/acceptance/test_live_stream_matrix.py.",
        "Callers: " + "; ".join(each.name for each in everybody) + ".",
    ]
    return "\n".join(lines)

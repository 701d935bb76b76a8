"""Every door with every caller: allowed callers succeed, all others change nothing and see nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from http.cookies import SimpleCookie
from typing import Any

import pytest
from django.contrib.auth.models import User

from tasks_app.models import ApiToken, AuditEntry
from tests.security import rules
from tests.security.callers import Caller, make_callers
from tests.security.doors import STREAM, Door, list_doors
from tests.security.place import SECRETS, Place
from tests.security.rule_kinds import READS, Rule
from tests.security.rules import RULES, list_permissions, rule_of
from tests.security.table import write_table

pytestmark = pytest.mark.django_db
ALL_CELLS = "MATRIX_ALL_CELLS"  # set by `python -m tests.security`
CELLS = 8_000  # at least: fewer mean that the list of doors is incomplete


@pytest.fixture(autouse=True)
def _closed(settings: Any) -> None:
    settings.API_OPEN = False
    settings.LONGTASKS = replace(
        settings.LONGTASKS, rate_limit_per_minute=0, rate_limit_per_address=0
    )  # thousands of requests come from one address


def test_every_door_has_a_rule() -> None:
    lacking = sorted(
        {f"{door.route} [{door.action}]".removesuffix(" []") for door in list_doors() if not rule_of(door)}
    )
    assert not lacking, f"Say in RULES of {rules.__name__} who may use: {lacking}"


def test_every_rule_has_a_door() -> None:
    known = {f"{door.route} [{door.action}]".removesuffix(" []") for door in list_doors()}
    assert not RULES.keys() - known, f"Delete from RULES of {rules.__name__}: there is no such door any more."


def test_every_caller_gets_the_expected_answer_at_every_door() -> None:
    place = Place()
    everybody = make_callers(permissions=list_permissions())
    place.keep()
    never = _list_never()
    wrong: list[str] = []
    cells = 0
    before = place.look()
    doors = _list_http_doors()
    for door, next_route in zip(doors, [*(each.route for each in doors[1:]), None], strict=True):
        rule = rule_of(door)
        assert rule is not None
        for caller in _choose(everybody, door, rule):
            cells += 1
            wrong += [f"{door} as {caller.name}: {words}" for words in _try(place, door, caller, rule, never)]
        # One check for all methods of an address: it takes longer than the requests.
        if next_route != door.route:
            after = place.look()
            if after != before:
                wrong.append(f"{door.route}: a caller who may not, or a read, has changed {_differing(before, after)}")
                before = after
    assert not wrong, f"{len(wrong)} of {cells:,} cells\n" + "\n".join(wrong)
    assert cells > CELLS
    if ALL_CELLS in os.environ:
        print("\n" + write_table(everybody, cells))


def _choose(everybody: list[Caller], door: Door, rule: Rule) -> list[Caller]:
    """Return the callers that try a door. Rare methods: one caller of each kind with the same answer, unless all are wanted."""
    if ALL_CELLS in os.environ or door.method in ("GET", "POST"):
        return everybody
    alike = {(caller.kind, *map(str, rule.expect(caller, door))): caller for caller in everybody}
    return list(alike.values())


def _try(place: Place, door: Door, caller: Caller, rule: Rule, never: list[str]) -> Iterator[str]:
    """Send one request; yield what is wrong with its result."""
    may, statuses = rule.expect(caller, door)
    cookies = caller.client.cookies.output(header="").strip()
    writes = may and door.method not in READS
    with place.restored() if writes else nullcontext():
        response = place.send(caller.client, door)
        if getattr(rule, "changes", False) and may and door.method == "POST" and not place.has_changed():
            yield "it should have changed something"
        if getattr(rule, "changes", False) and may and door.method == "POST" and door.route not in rules.NOT_AUDITED:
            if AuditEntry.objects.count() == place.audit_entries:
                yield "it leaves no entry in the audit"
    caller.client.cookies = SimpleCookie(cookies)
    if response.status_code not in statuses:
        yield f"answers {response.status_code} ({response.headers.get('Location', '')}) instead of {set(statuses)}"
    is_redirect = response.status_code == 302 and not may
    if is_redirect and not response.headers["Location"].startswith("/admin/"):
        yield f"leads to {response.headers['Location']}"
    shown = response.getvalue() + str(response.headers).encode()
    told = [text for text in never if text.encode() in shown]
    refused = response.status_code >= 300
    if (refused and not may) or not rules.may_be_told(caller, rule):
        told += [text for text in SECRETS if text.encode() in shown]
    if told:
        yield f"tells {told}"


def _list_http_doors() -> list[Door]:
    return [door for door in list_doors() if not door.route.startswith(STREAM)]


def _list_never() -> list[str]:
    """Return what no page shows to anybody."""
    return [*User.objects.values_list("password", flat=True), *ApiToken.objects.values_list("digest", flat=True)]


def _differing(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [name for name in after if before.get(name) != after[name]]

"""Door: the HTTP API. Bodies, headers, query strings, paths and methods, on every endpoint.

Owns what is sent and which answers are allowed: a documented status, errors as problem+json, soon, and never a 500.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from longtasks.local_stack.child_process import wait_until
from tests.chaos.clients import Accepted
from tests.chaos.oracle import Oracle
from tests.hostile.api_calls import Call, drawn_calls, list_calls
from tests.hostile.drawing import draw
from tests.hostile.raw_http import RawAnswer, exchange, request
from tests.hostile.world import World

DOOR = "API"
CLIENTS = 3
SECONDS = 2.0
END_SECONDS = 60.0


@dataclass(slots=True)
class Ledger:
    """Accepted uploads, which must be carried out although they are odd."""

    tasks: list[Accepted] = field(default_factory=list)


def run(world: World, *, number: int) -> None:
    """Send `number` requests, and check that every accepted upload is carried out."""
    calls = list_calls()
    drawn = draw(drawn_calls(), number=max(0, number - len(calls)), seed_number=world.seed)
    ledger = Ledger()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda call: _send(world, call, ledger), (calls + drawn)[: max(number, len(calls))]))
    oracle = Oracle(world.stack)
    wait_until(lambda: not oracle.list_open(ledger.tasks), deadline_seconds=END_SECONDS, pause_seconds=0.3)
    verdict = oracle.judge(ledger.tasks)
    for line in verdict.lost + verdict.duplicated + verdict.disagreeing:
        world.tally.add_fault(DOOR, "an accepted upload is not carried out", given="", seen=line)


def judge(call: Call, answer: RawAnswer) -> str:
    """Return the fault of an answer, or an empty text."""
    if answer.status == 0:
        return "" if call.may_close else "no answer"
    if answer.status not in call.statuses:
        return f"answers {answer.status}"
    if answer.continues > call.continues:
        return f"{answer.continues} times 100 Continue"
    if answer.status >= 400 and not call.is_head and call.is_problem:
        if not answer.headers.get("content-type", "").startswith("application/problem+json"):
            return f"{answer.status} is no problem+json"
        try:
            if answer.json["status"] != answer.status:
                return "status and body differ"
        except (ValueError, KeyError, TypeError):
            return "the problem can't be read"
    if b"Traceback" in answer.body:
        return "a traceback in the answer"
    return ""


def _send(world: World, call: Call, ledger: Ledger) -> None:
    answer = exchange(world.stack.port, call.data, is_head=call.is_head)
    wrong = judge(call, answer)
    if not wrong and answer.seconds > SECONDS:
        again = exchange(world.stack.port, call.data, is_head=call.is_head)  # the machine may have been busy
        wrong = f"takes more than {SECONDS:g} s" if again.seconds > SECONDS else judge(call, again)
    if wrong:
        seen = f"{answer.status} after {answer.seconds:.2f} s: {answer.body[:200]!r}"
        world.tally.fault(DOOR, wrong, given=call.words, seen=seen)
        return
    world.tally.note(
        DOOR, {2: "accepted", 3: "accepted", 4: "refused", 5: "refused"}.get(answer.status // 100, "closed")
    )
    if answer.status == 201:
        _note_accepted(answer, ledger)
    if answer.status == 200 and call.data.startswith(b"POST /queues/") and b"/pause" in call.data[:60]:
        path = call.data.split(b" ", 2)[1].replace(b"/pause", b"/resume")
        exchange(world.stack.port, request(b"POST", path, body=b""))


def _note_accepted(answer: RawAnswer, ledger: Ledger) -> None:
    body = answer.json
    for task in body.get("tasks", [body]):
        if task["name"] == "upload":
            ledger.tasks.append(Accepted(task["id"], "upload", task["params"]["numRecords"], 0.0))

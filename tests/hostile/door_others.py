"""Door: tasks of another owner. Their ids, cursors, keys and ETags in odd spellings, with forged and foreign tokens.

Owns what is sent and the judgement: no client sees, changes or stops a task of another owner. Every request carries an
Authorization header, because without one this open API shows everything.
"""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

from tests.hostile.drawing import draw
from tests.hostile.raw_http import RawAnswer, exchange, request
from tests.hostile.world import World

DOOR = "others"
CLIENTS = 3
END_SECONDS = 60.0
RECORDS = 20
SLOW = {"name": "slow", "params": {"records": 100_000, "chunkMs": 100}}
_ACTIONS = [
    "",
    "",
    "/cancel",
    "/retry",
    "/reschedule",
    "/events",
    "/failures",
    "/failures/retry",
    "/stream",
    "?wait=0",
    "/",
    "/cancel/",
    "/../cancel",
]
_PATHS = [
    "/tasks?cursor={id}", "/tasks?limit=200", "/tasks?status=started", "/tasks?name=slow&cursor={id}", "/queues",
    "/queues/low/pause", "/queues/high/pause", "/queues/low/resume", "/metrics", "/health/ready", "/schema",
    "/admin/tasks_app/taskrecord/{id}/", "/admin/tasks_app/taskrecord/{id}/cancel/", "/admin/catalog/user/?task={id}",
    "/admin/tasks_app/taskrecord/?q={id}", "/admin/tasks_app/apitoken/", "/admin/search/?s={mark}",
]  # fmt: skip
_SPELLINGS = (
    str, str.upper, lambda text: text.replace("-", ""), lambda text: f"{{{text}}}", lambda text: f"urn:uuid:{text}",
    lambda text: "".join(f"%{ord(letter):02x}" for letter in text), lambda text: f" {text}", lambda text: f"{text}%00",
    lambda text: f"x/../{text}", lambda text: f"{text};a=b",
)  # fmt: skip
# {bob} is a valid token of bob's, {gone} a revoked one of ann's.
_HEADERS = [
    "Bearer {bob}", "bearer {bob}", "Bearer  {bob}", "Bearer {reader}", "Bearer {gone}", "Bearer {short}", "Bearer {upper}",
    "Bearer {bob},Bearer {gone}", "Bearer {gone} {bob}", "Bearer {digest}", "Token {bob}", "Basic {basic}", "Bearer", "",
    "Bearer null", "Bearer {bob}\tann", "Bearer {bob};owner=ann", "Bearer %00{bob}", "Digest username=ann",
    "Bearer ../{bob}", "Bearer {bob}'--", "Bearer 1", "Bearer lt_", "Bearer \xff", "ann:{bob}", "Bearer ann",
]  # fmt: skip
_EXTRAS = [
    {}, {}, {"Idempotency-Key": "{key}"}, {"If-None-Match": "{etag}"}, {"If-None-Match": "*"}, {"X-Request-ID": "{request}"},
    {"X-Owner": "ann"}, {"X-Forwarded-User": "ann"}, {"X-Remote-User": "ann"}, {"Remote-User": "ann"}, {"Cookie": "owner=ann"},
    {"Cookie": "sessionid={gone}"}, {"X-HTTP-Method-Override": "DELETE"}, {"Last-Event-ID": "0"},
]  # fmt: skip
_BODIES: list[Any] = [
    {}, {"owner": "ann"}, {"reason": "stop"}, {"name": "upload", "params": {"numRecords": 1}, "owner": "ann"},
    {"name": "upload", "params": {"numRecords": 1}, "id": "{id}"}, {"tasks": [{"name": "upload", "owner": "ann"}]},
    {"name": "purge", "params": {"taskId": "{id}"}}, {"tasks": [{"name": "purge", "params": {"taskId": "{id}"}}]},
]  # fmt: skip

calls = st.tuples(
    st.sampled_from(["GET", "GET", "POST", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    st.one_of(st.sampled_from(_PATHS), st.sampled_from(_ACTIONS).map(lambda action: f"/tasks/{{id}}{action}"),
              st.sampled_from(["/tasks", "/tasks/bulk"])),
    st.sampled_from(range(len(_SPELLINGS))),
    st.sampled_from(_HEADERS) | st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=30),
    st.sampled_from(_EXTRAS),
    st.sampled_from(_BODIES),
    st.booleans(),
)  # fmt: skip


Drawn = tuple[str, str, int, str, dict[str, str], Any, bool]


def list_calls() -> list[Drawn]:
    """Return the hand-written requests: each address with another's valid token, each header, body and spelling."""
    addresses = [*_PATHS, *(f"/tasks/{{id}}{action}" for action in dict.fromkeys(_ACTIONS))]
    found: list[Drawn] = []
    for header in ("Bearer {bob}", "Bearer {reader}"):
        found += [
            (method, path, 0, header, {}, {}, running)
            for path in addresses
            for method in ("GET", "POST")
            for running in (True, False)
        ]
    found += [("GET", "/tasks/{id}", 0, header, {}, {}, False) for header in _HEADERS]
    found += [("GET", "/tasks/{id}", 0, "Bearer {bob}", extra, {}, False) for extra in _EXTRAS]
    found += [("GET", "/tasks/{id}", spelling, "Bearer {bob}", {}, {}, False) for spelling in range(len(_SPELLINGS))]
    for path in ("/tasks", "/tasks/bulk"):
        found += [("POST", path, 0, "Bearer {bob}", {"Idempotency-Key": "{key}"}, body, False) for body in _BODIES]
    return found


@dataclass(frozen=True, slots=True)
class Anns:
    """Ann's tasks, and the tokens of all."""

    ended: str  # a finished upload's id
    running: str
    words: dict[str, str]
    headers: dict[str, str]
    private_texts: list[bytes]  # what no other client may see


def run(world: World, *, number: int) -> None:
    """Send `number` requests in other names than ann's, and check that ann's tasks are unchanged."""
    anns = _prepare(world)
    sent = [*list_calls(), *draw(calls, number=number, seed_number=world.seed)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda call: _send(world, anns, call), sent))
    _judge_all(world, anns)


def _prepare(world: World) -> Anns:
    stack, mark = world.stack, f"mark{uuid.uuid4().hex}"

    def make_token(owner: str, scope: str) -> dict[str, Any]:
        output = world.insider.command("token", "create", owner, "--scope", scope, "--json").output
        return dict(json.loads(output.splitlines()[-1]))

    ann, bob, reader, gone = (
        make_token(owner, scope)
        for owner, scope in (("ann-" + mark, "write"), ("bob", "write"), ("bob", "read"), ("ann-" + mark, "admin"))
    )
    world.insider.command("token", "revoke", str(gone["id"]))
    headers = {"Authorization": f"Bearer {ann['token']}"}
    stack.wait_for(  # a web process that has just read the tokens reads them again a second later
        lambda: all(stack.get("/queues", headers=headers).status == 200 for _ in range(6)),
        deadline_seconds=END_SECONDS,
        what="ann's token is known to all processes",
    )
    known = {"Idempotency-Key": f"key-{mark}", "X-Request-ID": f"request-{mark}"}
    body = {"name": "upload", "params": {"numRecords": RECORDS}, "description": mark}
    started = stack.post("/tasks", body, headers={**headers, **known})
    assert started.status == 201, f"{started.status} {started.body!r} {started.error}"
    ended = str(started.json["id"])
    stack.wait_for(
        lambda: stack.get(f"/tasks/{ended}", headers=headers).json["status"] == "finished",
        deadline_seconds=END_SECONDS,
        what="ann's upload ends",
    )
    running = str(stack.post("/tasks", {**SLOW, "description": mark}, headers=headers).json["id"])
    token = str(bob["token"])
    words = {
        "bob": token, "reader": str(reader["token"]), "gone": str(gone["token"]), "short": token[:-1], "upper": token.upper(),
        "digest": "0" * 64, "basic": "YW5uOmFubg==", "key": known["Idempotency-Key"], "request": known["X-Request-ID"],
        "etag": stack.get(f"/tasks/{ended}", headers=headers).headers["ETag"], "mark": mark,
    }  # fmt: skip
    # A revoked token is valid for half a minute where it was cached; this one never was.
    return Anns(ended, running, words, headers, [b"ann-" + mark.encode(), f'"{mark}"'.encode(), f">{mark}".encode()])


def _send(world: World, anns: Anns, call: Drawn) -> None:
    method, path, spelling, header, extra, body, of_running = call
    task_id = anns.running if of_running else anns.ended
    words = anns.words | {"id": quote(_SPELLINGS[spelling](task_id), safe="%/;:=")}
    target = _fill(path, words)
    given = {"Content-Type": "application/json", "Authorization": _fill(header, words)}
    given |= {name: _fill(value, words) for name, value in extra.items()}
    content = json.dumps(body).replace("{id}", _SPELLINGS[spelling % 5](task_id)).encode()
    headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in given.items()]
    data = request(
        method.encode(), target.encode(), headers=headers, body=None if method in ("GET", "HEAD") else content
    )
    answer = exchange(world.stack.port, data, is_head=method == "HEAD")
    wrong = _judge(anns, path, answer)
    if wrong:
        world.tally.fault(
            DOOR, wrong, given=f"{method} {target} {given} {body}", seen=f"{answer.status} {answer.body[:300]!r}"
        )
    else:
        world.tally.note(DOOR, "refused" if answer.status >= 400 else "allowed")


def _fill(text: str, words: dict[str, str]) -> str:
    for name, word in words.items():
        text = text.replace(f"{{{name}}}", word)
    return text


def _judge(anns: Anns, path: str, answer: RawAnswer) -> str:
    """Return the fault of an answer to a client other than ann, or an empty text."""
    shown = answer.body + "\n".join(answer.headers.values()).encode("latin-1", "replace")
    if answer.status >= 500 and answer.status != 501:
        return f"answers {answer.status}"
    if any(text in shown for text in anns.private_texts):
        return "tells of ann's task"
    is_task = path.startswith("/tasks/{id}")
    if answer.status == 304 or (is_task and answer.status in (200, 202)):
        return f"answers {answer.status} for ann's task"
    if path.endswith(("/pause", "/resume")) and answer.status == 200:
        return "pauses or resumes a queue"
    if path == "/metrics" and answer.status == 200:
        return "tells the numbers of all owners"
    if answer.headers.get("idempotency-replayed"):
        return "replays ann's key"
    return "" if answer.status else "no answer"


def _judge_all(world: World, anns: Anns) -> None:
    """Check that ann's tasks are unchanged and that she can end the running one."""
    stack = world.stack
    running = stack.get(f"/tasks/{anns.running}", headers=anns.headers).json
    if running["status"] in ("canceled", "failed", "finished", "stopped"):
        world.tally.add_fault(DOOR, "ann's task was stopped", given=anns.running, seen=running)
    rows = stack.row_counts(anns.ended)
    if set(rows.values()) != {RECORDS}:
        world.tally.add_fault(DOOR, "rows of ann's task are gone", given=anns.ended, seen=rows)
    for task_id in (anns.ended, anns.running):
        events = stack.get(f"/tasks/{task_id}/events", headers=anns.headers).json["events"]
        actors = {event["actor"] for event in events} - {""}
        if any(not actor.startswith("ann-") for actor in actors):
            world.tally.add_fault(DOOR, "another stands in the history", given=task_id, seen=actors)
    stack.post(f"/tasks/{anns.running}/cancel", headers=anns.headers)

"""Door: webhooks. Addresses of every form and misbehaving receivers, beside valid deliveries.

Owns the addresses: this machine's own receiver, and names that cannot be resolved. No address leads elsewhere.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from hypothesis import strategies as st

from loadtests.started.stack import ProcfileStack
from longtasks.local_stack.child_process import wait_until
from tests.hostile.drawing import draw
from tests.hostile.receiver import DELIVERED, MANNERS, Receiver
from tests.hostile.world import World

DOOR = "webhooks"
DELIVER_SECONDS = 90.0
# {port} is the receiver's. The hosts are unknown or mean this machine.
_HOSTS = [
    "127.0.0.1:{port}",
    "localhost:{port}",
    "127.0.0.1.:{port}",
    "127.1:{port}",
    "2130706433:{port}",
    "0x7f.0.0.1:{port}",
    "0177.0.0.1:{port}",
    "[::1]:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "[::ffff:7f00:1]:{port}",
    "[::::]",
    "[:]",
    "[1]",
    "[::1",
    "::1]",
    "[1.2.3.4]",
    "[::1.2.3.4.5]",
    "[....]",
    "[::%25lo]",
    "",
    ".",
    "..",
    "...",
    "-",
    "x.invalid",
    ".invalid",
    "x..invalid",
    "-x-.invalid",
    "a" * 63 + ".invalid",
    "a" * 64 + ".invalid",
    "a." * 200 + "invalid",
    "xn--.invalid",
    "xn--a-ecp.invalid",
    "xn--" + "9" * 50 + ".invalid",
    "ü.invalid",
    "%00.invalid",
    "x_y.invalid",
    "x.invalid:0",
    "x.invalid:65536",
    "x.invalid:99999999999",
    "x.invalid:1_0",
    "x.invalid:",
    "x.invalid:-1",
    "user:password@127.0.0.1:{port}",
    "x.invalid\\@127.0.0.1:{port}",
    "x.invalid#@127.0.0.1:{port}",
    "x.invalid?@127.0.0.1:{port}",
    "127.0.0.1:{port}\r\nX-Injected: 1",
    "127.0.0.1:{port} ",
    " 127.0.0.1:{port}",
    "127.0.0.1\t:{port}",
]
_SCHEMES = ["http", "http", "http", "https", "HTTP", "ftp", "file", "javascript", "", "http:http", "httpx"]
_paths = st.one_of(
    st.sampled_from(
        ["", "/", "/ok", "/%00", "/%zz", "//", "/..", "/?a=b", "/" + "x" * 600, "/#f", "/a b", "/\r\nX: 1"]
    ),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x17F), max_size=20).map(lambda text: "/" + text),
)
urls = st.builds(
    lambda scheme, host, path: f"{scheme}://{host}{path}", st.sampled_from(_SCHEMES), st.sampled_from(_HOSTS), _paths
)


def run(world: World, *, number: int) -> None:
    """Start `number` tasks with odd addresses or receivers; check that valid receivers are notified once."""
    with Receiver() as receiver:
        stack = world.stack
        by_hand = [f"http://{host}/" for host in _HOSTS]
        drawn = draw(urls, number=max(0, number - len(by_hand) - len(MANNERS)), seed_number=world.seed)
        given = [url.replace("{port}", str(receiver.port)) for url in by_hand + drawn]
        mannered = [f"http://127.0.0.1:{receiver.port}/{name}/{index}" for index, name in enumerate(MANNERS)]
        good = [f"http://127.0.0.1:{receiver.port}/ok/good-{index}" for index in range(max(5, number // 8))]
        url_by_id: dict[str, str] = {}
        for index, url in enumerate([*mannered, *given]):
            _start(world, url, url_by_id)
            if index % 8 == 0 and good:
                _start(world, good[index // 8 % len(good)] + f"-{index}", url_by_id)
        _wait(world, set(url_by_id))
        for task_id, url in url_by_id.items():
            _judge(world, receiver, stack, task_id, url)


def _start(world: World, url: str, url_by_id: dict[str, str]) -> None:
    answer = world.stack.post("/tasks", {"name": "upload", "params": {"numRecords": 1}, "callbackUrl": url})
    if answer.status == 201:
        url_by_id[answer.json["id"]] = url
    elif answer.status == 400:
        world.tally.note(DOOR, "refused")
    else:
        world.tally.fault(DOOR, f"POST answers {answer.status}", given=url, seen=answer.body[:200])


def _wait(world: World, task_ids: set[str]) -> None:
    """Wait until all have ended in the tables and no delivery is left."""
    ended: set[str] = set()

    def is_through() -> bool:
        left = [uuid.UUID(task_id).hex for task_id in task_ids - ended]
        if left:
            rows = world.stack.sql(
                "SELECT id FROM tasks_app_taskrecord WHERE status IN ('finished', 'failed', 'canceled', 'stopped')"
                f" AND id IN ({', '.join(['%s'] * len(left))})",
                *left,
            )
            ended.update(str(uuid.UUID(str(key))) for (key,) in rows)
            return False
        return not world.stack.sql("SELECT COUNT(*) FROM tasks_app_webhookdelivery")[0][0]

    if not wait_until(is_through, deadline_seconds=DELIVER_SECONDS, pause_seconds=0.3):
        left = world.stack.sql("SELECT url, attempts FROM tasks_app_webhookdelivery LIMIT 20")
        for url, attempts in left:
            world.tally.add_fault(DOOR, "is neither delivered nor given up", given=url, seen=f"{attempts} tries")


def _judge(world: World, receiver: Receiver, stack: ProcfileStack, task_id: str, url: str) -> None:
    tries: Sequence[tuple[str | None]] = stack.sql(  # type: ignore[assignment]
        "SELECT error FROM tasks_app_taskevent WHERE task_id = %s AND cause = 'webhook' ORDER BY id",
        uuid.UUID(task_id).hex,
    )
    path = url.partition(f":{receiver.port}")[2]
    name = path.split("/")[1] if path.count("/") else ""
    is_mannered = name in MANNERS and url.startswith(f"http://127.0.0.1:{receiver.port}/")
    if not tries:
        world.tally.fault(DOOR, "nothing came of it", given=url, seen=f"task {task_id} has no try in its history")
        return
    last = tries[-1][0]
    control = [letter for (error,) in tries for letter in error or "" if ord(letter) < 32 or ord(letter) == 127]
    if control:
        world.tally.fault(DOOR, "control characters in the history", given=url, seen=last)
    elif is_mannered and name in DELIVERED and (last is not None or receiver.seen[path] != 1):
        world.tally.fault(
            DOOR, "a good delivery fails or comes twice", given=url, seen=f"{receiver.seen[path]}, {last}"
        )
    elif (
        is_mannered
        and name not in DELIVERED
        and last is None
        and not name.startswith(("many", "long", "http_9", "odd_"))
    ):
        world.tally.fault(DOOR, "counts as delivered", given=url, seen=tries)
    else:
        world.tally.note(DOOR, "delivered" if last is None else "given up")

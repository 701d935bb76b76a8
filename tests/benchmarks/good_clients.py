"""Good clients beside bad ones: prints a table (Markdown) of how long requests with a valid token take meanwhile.

`python -m tests.benchmarks.good_clients [--rounds 3] [--seconds 8] [--rate 100]`. The production settings on a MariaDB and
a Redis of its own. Good clients send requests at a fixed rate, half POST /tasks, half GET /tasks/{id}; a time counts from
when a request was due. The cases alternate in each round. So does the calibration: the same clients against a server that
does nothing, which shows what the machine and the clients themselves add. The bad clients run in a process of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from loadtests.started.servers import create_servers
from loadtests.started.stack import ALL_ROLES, ProcfileStack
from tests.benchmarks.bad_clients import attack
from tests.benchmarks.http_connection import Connection, compose
from tests.benchmarks.idle_server import serve_and_print_port

CONNECTIONS: Final = 16  # kept open by the good clients
GIVE_UP_SECONDS: Final = 30.0
CASES: Final[dict[str, dict[str, int]]] = {
    "alone": {},
    "200 slow": {"slow": 200},
    "200 wrong tokens": {"wrong": 200},
    "200 wrong tokens, a connection for each": {"wrong-anew": 200},
    "200 idle streams": {"streams": 200},
    "all together": {"slow": 200, "wrong": 200, "streams": 200},
    "2,000 idle streams and 1,000 slow": {"slow": 1000, "streams": 2000},
}
BAD_OWNERS: Final = 25  # a caller may have 100 streams
PRODUCTION: Final = {
    "DJANGO_SETTINGS_MODULE": "settings.production",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz",
    "ALLOWED_HOSTS": "localhost,127.0.0.1",
    "HTTPS_ONLY": "0",
    "API_OPEN": "0",
}
CALIBRATION: Final = "calibration: no longtasks, a server that does nothing"


@dataclass
class Measured:
    """What the good clients saw in one case, over all rounds."""

    milliseconds: list[float] = field(default_factory=list)
    p99s: list[float] = field(default_factory=list)  # of each round
    statuses: Counter[str] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)


async def ask_at_rate(port: int, *, token: str, task_id: str, rate: float, seconds: float) -> Measured:
    """Send requests at a fixed rate, whether or not earlier ones were answered."""
    measured = Measured()
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        idle.put_nowait(Connection(port))
    post = compose("POST", "/tasks", token, json.dumps({"name": "upload", "params": {"numRecords": 1}}).encode())
    requests = (post, compose("GET", f"/tasks/{task_id}", token))

    async def one(request: bytes, due: float) -> None:
        connection = await idle.get()
        try:
            status, _ = await asyncio.wait_for(connection.ask(request), GIVE_UP_SECONDS)
            measured.statuses[str(status)] += 1
        except (OSError, EOFError, TimeoutError) as error:
            connection.close()
            measured.statuses[type(error).__name__] += 1
        measured.milliseconds.append(1000 * (asyncio.get_running_loop().time() - due))
        idle.put_nowait(connection)

    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(0, due - loop.time()))
            tasks.create_task(one(requests[number % 2], due))
    while not idle.empty():
        idle.get_nowait().close()
    return measured


@contextlib.contextmanager
def attacked(kinds: Mapping[str, int], stack: ProcfileStack, *, tokens: list[str], counts: Counter[str]) -> Any:
    if not kinds:
        yield
        return
    command = [sys.executable, "-m", "tests.benchmarks.good_clients", "--attack", json.dumps(kinds)]
    ports = ["--ports", str(stack.port), "--tokens", *tokens]
    with subprocess.Popen([*command, *ports], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            process.stdin.write("\n")
            process.stdin.flush()
            counts.update(json.loads(process.stdout.readline()))
            process.wait()


def calibrate(*, rate: float, seconds: float) -> Measured:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.good_clients", "--nothing"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            return asyncio.run(ask_at_rate(port, token="x", task_id="x", rate=rate, seconds=seconds))
        finally:
            process.terminate()


def main(*, rounds: int, seconds: float, rate: float, cases: list[str]) -> None:
    database, redis_server = create_servers()
    stack = None
    try:
        for server in (database, redis_server):
            server.start()
        stack = ProcfileStack(
            database=database,
            redis_server=redis_server,
            roles=ALL_ROLES,
            environment=PRODUCTION,
        )
        stack.start()
        made = json.loads(stack.manage("token", "create", "good", "--scope", "write", "--json").splitlines()[-1])
        token = made["token"]
        bad_tokens = [  # of other owners: their streams send no event
            json.loads(stack.manage("token", "create", f"bad{number}", "--scope", "write", "--json").splitlines()[-1])[
                "token"
            ]
            for number in range(BAD_OWNERS)
        ]
        started = stack.post("/tasks", {"name": "upload"}, headers={"Authorization": f"Bearer {token}"})
        assert started.status == 201, started
        results: dict[str, Measured] = defaultdict(Measured)
        for number in range(rounds):
            for name in [CALIBRATION, *cases]:
                seen = results[name]
                if name == CALIBRATION:
                    measured = calibrate(rate=rate, seconds=seconds)
                else:
                    with attacked(CASES[name], stack, tokens=bad_tokens, counts=seen.bad):
                        measured = asyncio.run(
                            ask_at_rate(stack.port, token=token, task_id=started.json["id"], rate=rate, seconds=seconds)
                        )
                seen.milliseconds += measured.milliseconds
                seen.p99s.append(p99(measured.milliseconds))
                seen.statuses.update(measured.statuses)
                print(
                    f"round {number + 1}, {name}: p99 {seen.p99s[-1]:.1f} ms, {dict(measured.statuses)}",
                    file=sys.stderr,
                )
        print_table(results, rounds=rounds, seconds=seconds, rate=rate)
    finally:
        if stack is not None:
            stack.close()
        database.remove()
        redis_server.remove()


def p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def print_table(results: dict[str, Measured], *, rounds: int, seconds: float, rate: float) -> None:
    print(f"{rate:g} requests a second, {rounds} rounds of {seconds:g} s for each case; {os.cpu_count()} cores.\n")
    print("| beside | requests | not 200 or 201 | median, ms | p99, ms | p99 of the rounds, ms | what the others did |")
    print("| --- | --: | --: | --: | --: | --: | --- |")
    for name, seen in results.items():
        bad = sum(count for status, count in seen.statuses.items() if status not in ("200", "201"))
        others = "; ".join(f"{what}: {count:,}" for what, count in sorted(seen.bad.items())) or "-"
        print(
            f"| {name} | {len(seen.milliseconds):,} | {bad} | {statistics.median(seen.milliseconds):.1f} |"
            f" {p99(seen.milliseconds):.1f} | {min(seen.p99s):.1f} to {max(seen.p99s):.1f} | {others} |"
        )


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--case", action="append", choices=[*CASES], help="only this one; may be given more than once")
    parser.add_argument("--attack", help=argparse.SUPPRESS)
    parser.add_argument("--ports", type=int, nargs=1, help=argparse.SUPPRESS)
    parser.add_argument("--tokens", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--nothing", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    given = read_arguments()
    if given.nothing:
        asyncio.run(serve_and_print_port())
    elif given.attack:
        (port,) = given.ports
        asyncio.run(attack(json.loads(given.attack), port=port, tokens=given.tokens))
    else:
        main(rounds=given.rounds, seconds=given.seconds, rate=given.rate, cases=given.case or [*CASES])

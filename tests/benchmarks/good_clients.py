"""Good clients beside bad ones: prints a table (Markdown) of what requests with a valid token take meanwhile.

`python -m tests.benchmarks.good_clients [--rounds 3] [--seconds 8] [--rate 100]`. The production settings on a MariaDB and
a Redis of its own. Good clients ask at a fixed rate, half POST /tasks, half GET /tasks/{id}, and a time counts from when
a request was due. The cases take turns in each round; so does the calibration, the same clients against a server that
does nothing, which shows what the machine and the clients themselves add. The bad ones run in a process of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.servers import create_servers
from tests.support.stack import ALL_ROLES, ProcfileStack

BAD_CLIENTS: Final = 200  # of each kind
CONNECTIONS: Final = 16  # that the good clients keep open
GIVE_UP_SECONDS: Final = 30.0
CASES: Final[dict[str, tuple[str, ...]]] = {
    "alone": (),
    "200 slow": ("slow",),
    "200 wrong tokens": ("wrong",),
    "200 wrong tokens, a connection for each": ("wrong-anew",),
    "200 idle streams": ("streams",),
    "all together": ("slow", "wrong", "streams"),
}
PRODUCTION: Final = {
    "DJANGO_SETTINGS_MODULE": "settings.production",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz",
    "ALLOWED_HOSTS": "localhost,127.0.0.1",
    "HTTPS_ONLY": "0",
    "API_OPEN": "0",
}
STREAMS_OPEN: Final = "streams open"
CALIBRATION: Final = "calibration: no longtasks, a server that does nothing"


@dataclass
class Measured:
    """What the good clients saw in one case, over all rounds."""

    milliseconds: list[float] = field(default_factory=list)
    p99s: list[float] = field(default_factory=list)  # of each round
    statuses: Counter[str] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)


# HTTP, as little of it as there must be: the clients share two cores with what they measure.


class Connection:
    """One connection that is kept alive, and opened again where the server closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Return status and body. Raises OSError, EOFError."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            lower = head.lower()
            length = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            body = await reader.readexactly(length)
        except (OSError, EOFError):
            self.close()
            raise
        if b"connection: close" in lower:
            self.close()
        return int(head[9:12]), body

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def compose(method: str, path: str, token: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


# The good


async def ask_at_rate(port: int, *, token: str, task_id: str, rate: float, seconds: float) -> Measured:
    """Requests that are due at a fixed rate, whether or not earlier ones were answered."""
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


# The bad: `python -m tests.benchmarks.good_clients --attack slow,wrong`, until its input ends


async def attack(kinds: list[str], *, port: int, token: str) -> None:
    counts: Counter[str] = Counter()
    clients: dict[str, Callable[[int], Coroutine[Any, Any, None]]] = {
        "slow": lambda number: be_slow(port, number, token, counts),
        "wrong": lambda number: send_wrong_tokens(port, number, counts, anew=False),
        "wrong-anew": lambda number: send_wrong_tokens(port, number, counts, anew=True),
        "streams": lambda number: watch(port, token, counts),
    }
    tasks = [asyncio.create_task(clients[kind](number)) for kind in kinds for number in range(BAD_CLIENTS)]
    loop = asyncio.get_running_loop()
    await asyncio.sleep(2)
    for what in [*counts]:
        if what != STREAMS_OPEN:
            del counts[what]
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    print(json.dumps(counts), flush=True)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def be_slow(port: int, number: int, token: str, counts: Counter[str]) -> None:
    """A byte a second: of the headers, or of a body that was announced."""
    announced = compose("POST", "/tasks", token, b" " * 5000)[:-5000]
    while True:
        with contextlib.suppress(OSError, EOFError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(announced if number % 2 else b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
                while not writer.transport.is_closing():
                    await asyncio.sleep(random.uniform(0.9, 1.1))
                    writer.write(b" " if number % 2 else b"x")
                    await writer.drain()
                    counts["slow bytes"] += 1
            finally:
                writer.close()


async def send_wrong_tokens(port: int, number: int, counts: Counter[str], *, anew: bool) -> None:
    """In a closed loop: the next request when the last one was answered."""
    connection = Connection(port)
    sent = 0
    while True:
        sent += 1
        try:
            status, _ = await connection.ask(
                compose("GET", f"/tasks/{'0' * 8}-0000-7000-8000-{'0' * 12}", f"lt_{number}x{sent}")
            )
            counts[f"wrong tokens answered {status}"] += 1
        except (OSError, EOFError):
            counts["wrong tokens not answered"] += 1
            await asyncio.sleep(0.01)
        if anew:
            connection.close()


async def watch(port: int, token: str, counts: Counter[str]) -> None:
    """A stream of one task that waits for ever: a heartbeat, and nothing else."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(compose("GET", "/stream", token))
            if b" 200 " in await reader.readline():
                counts[STREAMS_OPEN] += 1
                while await reader.read(65536):
                    pass
                counts[STREAMS_OPEN] -= 1
            writer.close()
        except OSError:
            counts["streams refused"] += 1
        await asyncio.sleep(1)


@contextlib.contextmanager
def attacked(kinds: tuple[str, ...], stack: ProcfileStack, *, token: str, counts: Counter[str]) -> Any:
    if not kinds:
        yield
        return
    command = [sys.executable, "-m", "tests.benchmarks.good_clients", "--attack", ",".join(kinds)]
    ports = ["--ports", str(stack.port), "--token", token]
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


async def serve_nothing(port_told: asyncio.Future[int]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
                await reader.readexactly(length)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port_told.set_result(server.sockets[0].getsockname()[1])
    await server.serve_forever()


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


# All of it


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
        made = json.loads(stack.manage("token", "create", "bad", "--scope", "write", "--json").splitlines()[-1])
        bad_token = made["token"]  # of another owner: the streams have nothing to tell
        started = stack.post("/tasks", {"name": "upload"}, headers={"Authorization": f"Bearer {token}"})
        assert started.status == 201, started
        results: dict[str, Measured] = defaultdict(Measured)
        for number in range(rounds):
            for name in [CALIBRATION, *cases]:
                seen = results[name]
                if name == CALIBRATION:
                    measured = calibrate(rate=rate, seconds=seconds)
                else:
                    with attacked(CASES[name], stack, token=bad_token, counts=seen.bad):
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
    parser.add_argument("--token", help=argparse.SUPPRESS)
    parser.add_argument("--nothing", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


async def _serve_nothing() -> None:
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    told.add_done_callback(lambda done: print(done.result(), flush=True))
    await serve_nothing(told)


if __name__ == "__main__":
    given = read_arguments()
    if given.nothing:
        asyncio.run(_serve_nothing())
    elif given.attack:
        (port,) = given.ports
        asyncio.run(attack(given.attack.split(","), port=port, token=given.token))
    else:
        main(rounds=given.rounds, seconds=given.seconds, rate=given.rate, cases=given.case or [*CASES])

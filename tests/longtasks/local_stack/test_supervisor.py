"""longtasks/local_stack/supervisor.py, with small programs instead of the Procfile's processes."""

import io
import os
import signal
import socket
import sys
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
import redis as redis_package

from longtasks.local_stack import child_process, process_output
from longtasks.local_stack import supervisor as stack_module
from longtasks.local_stack.procfile import free_port
from longtasks.local_stack.supervisor import Stack, StackError

WEB = f"{sys.executable} -m http.server --bind 127.0.0.1 $PORT"
WAIT = f"{sys.executable} -c 'import signal; print(\"waiting\"); signal.pause()'"


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def stack(tmp_path: Path, output: io.StringIO) -> Generator[Stack, None, None]:
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}"}
    stack = Stack(environment=environment, port=free_port(), workers=1, data_dir=tmp_path, redis_url="", output=output)
    yield stack
    stack.stop()


def use_procfile(monkeypatch: pytest.MonkeyPatch, **processes: str) -> None:
    monkeypatch.setattr(stack_module, "read_procfile", lambda: processes)


def watch_until(stack: Stack, output: io.StringIO, text: str) -> None:
    def found() -> bool:
        stack.watch(seconds=0.05)
        return text in output.getvalue()

    assert child_process.wait_until(found, deadline_seconds=60), output.getvalue()


def test_the_supervisor_serves_relays_output_and_leaves_no_process(
    monkeypatch: pytest.MonkeyPatch, stack: Stack, output: io.StringIO, tmp_path: Path
) -> None:
    use_procfile(monkeypatch, web=WEB, worker=WAIT)
    with stack:
        with redis_package.Redis.from_url(stack.redis_url) as client:
            assert client.ping()
        watch_until(stack, output, "worker | waiting")
        pids = child_process.marked_pids(mark=stack.mark)
        assert len(pids) == 3  # web, worker, Valkey
    assert child_process.marked_pids(mark=stack.mark) == []
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert (tmp_path / "db.sqlite3").exists(), "it has not migrated"


def test_a_process_that_ends_is_restarted(
    monkeypatch: pytest.MonkeyPatch, stack: Stack, output: io.StringIO, tmp_path: Path
) -> None:
    once, end = tmp_path / "once", tmp_path / "end"
    waits_for_the_end = f"while ! test -e {end}; do sleep 0.1; done"
    use_procfile(
        monkeypatch,
        web=WEB,
        worker=f"/bin/sh -c 'test -e {once} && exec sleep 60; touch {once}; {waits_for_the_end}; exit 3'",
    )
    with stack:
        end.touch()  # not before web answers: a process that ends during the start stops the stack
        watch_until(stack, output, "ended with status 3; starts again")

        def has_started_again() -> bool:
            stack.watch(seconds=0.05)
            return len(child_process.marked_pids(mark=stack.mark)) == 3  # web, worker, Valkey

        assert child_process.wait_until(has_started_again, deadline_seconds=60), output.getvalue()


def test_a_process_that_ends_while_starting_stops_all(monkeypatch: pytest.MonkeyPatch, stack: Stack) -> None:
    use_procfile(monkeypatch, web=WAIT, worker="/bin/sh -c 'exit 4'")
    with pytest.raises(StackError, match="worker ended with status 4 while starting"):
        stack.__enter__()
    assert child_process.marked_pids(mark=stack.mark) == []


def test_an_endless_line_is_printed_in_pieces(
    monkeypatch: pytest.MonkeyPatch, stack: Stack, output: io.StringIO
) -> None:
    writes = (
        f'{sys.executable} -c \'import signal, sys; sys.stdout.write("x" * 3_000_000 + "end"); sys.stdout.flush(); '
    )
    use_procfile(monkeypatch, web=WEB, worker=f"{writes}signal.pause()'")
    with stack:
        watch_until(stack, output, "x" * process_output.LINE_BYTES)
    assert max(map(len, output.getvalue().splitlines())) < 3 * process_output.LINE_BYTES


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        ("::1", "http://[::1]:3000"),
        ("[::1]", "http://[::1]:3000"),
        ("::", "http://127.0.0.1:3000"),
        ("unix:/run/longtasks", "unix:/run/longtasks/web.sock"),
    ],
)
def test_the_address_of_web_can_be_requested(bind: str, address: str, tmp_path: Path) -> None:
    made = Stack(
        environment={"BIND": bind}, port=3000, workers=1, data_dir=tmp_path, redis_url="redis://x", output=io.StringIO()
    )
    assert made.address == address


@pytest.mark.parametrize("family", [socket.AF_INET6, socket.AF_UNIX])
def test_web_is_probed_at_the_address_of_bind(family: socket.AddressFamily, tmp_path: Path) -> None:
    bind = "::1" if family == socket.AF_INET6 else f"unix:{tmp_path}"
    with socket.socket(family) as listener:
        listener.bind(("::1", 0) if family == socket.AF_INET6 else str(tmp_path / "web.sock"))
        port = listener.getsockname()[1] if family == socket.AF_INET6 else 3000
        made = Stack(
            environment={"BIND": bind}, port=port, workers=1, data_dir=tmp_path, redis_url="redis://x",
            output=io.StringIO(),
        )  # fmt: skip
        assert not made._is_live()
        listener.listen()

        def answer() -> None:
            client, _ = listener.accept()
            client.recv(1024)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            client.close()

        answering = threading.Thread(target=answer)
        answering.start()
        assert made._is_live()
        answering.join(5)


def test_a_killed_valkey_restarts_with_its_acknowledged_writes(
    monkeypatch: pytest.MonkeyPatch, stack: Stack, output: io.StringIO
) -> None:
    use_procfile(monkeypatch, web=WEB)

    def answer() -> object:
        stack.watch(seconds=0.05)
        try:
            with redis_package.Redis.from_url(stack.redis_url) as client:
                return client.get("key")
        except redis_package.RedisError:
            return None

    with stack:
        assert stack._embedded is not None
        for number in (1, 2):
            with redis_package.Redis.from_url(stack.redis_url) as client:
                client.set("key", number)
            pid = stack._embedded.pid
            assert pid
            os.kill(pid, signal.SIGKILL)
            watch_until(stack, output, "valkey")
            assert child_process.wait_until(lambda n=number: answer() == str(n).encode(), deadline_seconds=30)
            assert stack._embedded.pid != pid
    assert output.getvalue().count("ended with status -9; starts again") == 2
    assert child_process.marked_pids(mark=stack.mark) == []


def test_a_free_port_is_outside_the_ephemeral_range() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = {free_port() for _ in range(20)}
    assert max(ports) < lowest
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port()))
        other.listen()
        assert other.getsockname()[1] not in {free_port() for _ in range(20)}

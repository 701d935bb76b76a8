"""`manage.py demo` and `manage.py up` as users see them: exit codes, output, and that they leave nothing behind."""

import os
import re
import signal
import socket
import sys
import tempfile
import uuid
from collections.abc import Generator
from pathlib import Path

import pytest

from loadtests.started.manage_command import run_manage
from longtasks.local_stack import child_process
from longtasks.local_stack.procfile import PROJECT_DIR, free_port


@pytest.fixture
def environment(tmp_path: Path) -> Generator[dict[str, str], None, None]:
    """The embedded default in a private directory; a process that a command leaves running is killed and fails the test."""
    mark = uuid.uuid4().hex
    inherited = {key: value for key, value in os.environ.items() if key not in {"DATABASE_URL", "REDIS_URL"}}
    yield inherited | {
        "DJANGO_SETTINGS_MODULE": "settings.development",
        "ENV_FILE": "",
        "DATA_DIR": str(tmp_path / "data"),
        "TMPDIR": str(tmp_path),
        "PORT": str(free_port()),
        "ORIGIN": mark,
    }
    left = _pids_of(mark)
    child_process.signal_pids(pids=left, signal_number=signal.SIGKILL)
    assert left == [], "processes were left running"


def _pids_of(origin: str) -> list[int]:
    needle = f"ORIGIN={origin}".encode()
    pids = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if needle in (entry / "environ").read_bytes().split(b"\0"):
                pids.append(int(entry.name))
        except OSError:
            continue
    return pids


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except OSError:
        return False


def test_demo_counts_what_it_asked_for_and_leaves_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    result = run_manage(
        "demo", "--records", "5000", "--high-records", "200", environment=environment, timeout_seconds=300
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert "Equal: 5,200 records, 15,600 rows." in result.stdout
    assert re.search(r"upload \(low\).* 5,000 of 5,000 .* finished", result.stdout)
    assert re.search(r"upload \(high\).* 200 of 200 .* finished", result.stdout)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("longtasks-demo-")] == []


def test_demo_never_touches_the_database_of_the_user(environment: dict[str, str], tmp_path: Path) -> None:
    users_database = tmp_path / "mine.sqlite3"

    result = run_manage(
        *("demo", "--records", "100", "--high-records", "10"),
        environment=environment | {"DATABASE_URL": f"sqlite:///{users_database}", "REDIS_URL": "redis://127.0.0.1:1/0"},
        timeout_seconds=300,
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert not users_database.exists()


def test_up_refuses_a_used_port(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = run_manage("up", environment=environment | {"PORT": str(port)}, timeout_seconds=300)

    assert result.returncode == 1
    assert f"port {port} is not free" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("REDIS_URL", "redis://:secret-word@127.0.0.1:1/0"),
        ("DATABASE_URL", "mysql://root:secret-word@127.0.0.1:1/none"),
    ],
)
def test_up_names_a_server_that_cannot_be_reached(environment: dict[str, str], variable: str, url: str) -> None:
    if variable == "DATABASE_URL":
        pytest.importorskip("MySQLdb")
    result = run_manage("up", environment=environment | {variable: url}, timeout_seconds=300)

    assert result.returncode == 1
    assert variable in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert "secret-word" not in result.stdout + result.stderr


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_up_serves_until_it_is_stopped_and_leaves_nothing(
    environment: dict[str, str], signal_number: signal.Signals
) -> None:
    with tempfile.TemporaryFile() as output:
        process = child_process.spawn(
            command=[sys.executable, "manage.py", "up"], environment=environment, output=output, directory=PROJECT_DIR
        )

        def printed() -> str:
            output.seek(0)
            return output.read().decode()

        assert child_process.wait_until(
            lambda: "longtasks is up" in printed() or process.poll() is not None, deadline_seconds=90
        )
        assert process.poll() is None, printed()
        assert f"http://127.0.0.1:{environment['PORT']}" in printed()
        assert child_process.wait_until(lambda: _answers(int(environment["PORT"])), deadline_seconds=60)

        process.send_signal(signal_number)

        status = process.wait(timeout=60)
        assert status == (-signal.SIGKILL if signal_number == signal.SIGKILL else 0), printed()
    # After SIGKILL no parent waits for the other processes: they end by themselves.
    assert child_process.wait_until(lambda: not _pids_of(environment["ORIGIN"]), deadline_seconds=60)

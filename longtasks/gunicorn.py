"""gunicorn's configuration for `web`: `gunicorn -c longtasks/gunicorn.py longtasks.wsgi`.

Must not import Django or the project: what the parent imports, its children get on HUP, and new code would not be.
"""

import json
import os
import re
import resource
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger

EXITS_VARIABLE = "LONGTASKS_EXITS"  # as in tasks_app/process_monitor/exits.py
EXIT_MESSAGE = re.compile(r"Worker \(pid:%s\) (was sent|exited with code) %s")
KEPT_EXITS = 30
READY_SECONDS = 60  # a new process has that long to load the code before the old ones go


def _read_process_variables() -> dict[str, str]:
    """Asked of a process of its own, at each start and HUP; a wrong value ends the start with its one line."""
    asked = subprocess.run(
        [sys.executable, "-m", "settings"],
        env={"DJANGO_SETTINGS_MODULE": "settings.development"} | os.environ,
        stdout=subprocess.PIPE,
        check=False,
    )
    if asked.returncode:
        sys.exit(asked.returncode)
    variables: dict[str, str] = json.loads(asked.stdout)
    return variables


_variables = _read_process_variables()

_host = _variables["bind"]
if _host.startswith("unix:"):
    bind = f"{_host}/web.sock"
    Path(_host.removeprefix("unix:")).mkdir(mode=0o755, parents=True, exist_ok=True)
else:
    bind = f"[{_host}]:{_variables['port']}" if ":" in _host else f"{_host}:{_variables['port']}"
workers = int(_variables["web_workers"])
# Quick requests are answered by the event loop, side by side, and those that wait are held there; a thread gets
# complete ones only.
worker_class = "longtasks.holding_worker.HoldingWorker"
threads = int(_variables["web_threads"])
backlog = 2048
# Half of them may be held requests. A connection is a file, and many systems allow 1024 of them unless asked.
worker_connections = 4000
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (max(_soft, min(_hard, 2 * worker_connections)), _hard))
# Each worker opens its own connections and, on HUP, loads the new code.
preload_app = False

# HUP and TERM wait for requests that threads still work on; those that are held are answered at once.
timeout = 60
graceful_timeout = 30
keepalive = 75

# The C parser where it is installed, Python's otherwise.
http_parser = "auto"
# request_head.py refuses what is larger before the parser sees it; these are the largest that the parser takes.
limit_request_line = 8190
limit_request_fields = 256
limit_request_field_size = 64 * 1024
# What a proxy says is read by longtasks/http/behind_proxy.py, for every server alike.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""


class LoggerOfErrors(Logger):  # type: ignore[misc]
    """gunicorn's logger without an access log: with a `logconfig_dict` gunicorn composes a line for each request."""

    def access(self, *arguments: Any) -> None:
        """Metrics count the requests."""

    def error(self, message: Any, *arguments: Any, **keywords: Any) -> None:
        note_exit(message, arguments)
        super().error(message, *arguments, **keywords)

    def warning(self, message: Any, *arguments: Any, **keywords: Any) -> None:
        note_exit(message, arguments)
        super().warning(message, *arguments, **keywords)


def note_exit(message: Any, arguments: tuple[Any, ...]) -> None:
    """Keep how a process has ended for its successor, which inherits the environment; gunicorn says it here alone."""
    if len(arguments) == 2 and (found := EXIT_MESSAGE.match(str(message))):
        how = arguments[1] if found[1] == "was sent" else f"code {arguments[1]}"
        exits = [*os.environ.get(EXITS_VARIABLE, "").split(",")[-KEPT_EXITS:], f"{arguments[0]}={how}"]
        os.environ[EXITS_VARIABLE] = ",".join(filter(None, exits))


logger_class = LoggerOfErrors
accesslog = None
errorlog = "-"
loglevel = _variables["log_level"].lower()
# The parent's lines (boot, HUP, a worker that died) look as all others. Its formatter is from when it started.
logconfig_dict = {
    "formatters": {"longtasks": {"()": f"longtasks.log_formatters.{_variables['log_format'].capitalize()}Formatter"}},
    "handlers": {"longtasks": {"class": "logging.StreamHandler", "formatter": "longtasks"}},
    "loggers": {"gunicorn.error": {"level": _variables["log_level"], "handlers": ["longtasks"], "propagate": False}},
    "root": {"level": _variables["log_level"], "handlers": ["longtasks"]},
}
proc_name = "longtasks-web"
# No second way in beside the signals.
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Give the processes the directory in which they share what they count of requests; empty at a start.

    Not called on HUP: what was counted goes on.
    """
    named = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    root = Path(__file__).resolve().parent.parent
    directory = Path(named) if named else root / _variables["data_dir"] / "metrics" / f"web-{_variables['port']}"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if "GUNICORN_PID" not in os.environ:  # USR2: the old parent's processes still count there
        for path in (*directory.glob("*.db"), *directory.glob("ready-*")):
            path.unlink(missing_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)


def on_reload(server: Any) -> None:
    """Let the old processes serve until each new one has loaded the code: gunicorn would end them at once.

    Loading takes a second, on a busy machine many; requests would wait for it.
    """
    known = set(server.WORKERS)

    def manage_workers() -> None:
        del server.manage_workers  # the next call is gunicorn's own again
        deadline = time.monotonic() + READY_SECONDS
        waiting = set(server.WORKERS) - known
        while waiting and time.monotonic() < deadline:
            waiting = {pid for pid in waiting if _is_loading(pid)}
            time.sleep(0.05)
        server.manage_workers()

    server.manage_workers = manage_workers


def post_worker_init(worker: Any) -> None:
    """Tell the parent that this process has loaded the code.

    gunicorn would refuse paths without SCRIPT_NAME, as probes and most proxies send them; the settings have read it.
    """
    os.environ.pop("SCRIPT_NAME", None)
    with suppress(OSError):  # a full disk: the parent waits longer then
        _ready_path(worker.pid).touch()
    from tasks_app.process_monitor.reporter import start_reporting

    worker.reporter = start_reporting("web-worker", parent_kind="web")


def worker_exit(server: Any, worker: Any) -> None:
    """In the process itself: where it ends as it was asked to, its successor is no restart. One that hung ends with 1."""
    reporter, ending = getattr(worker, "reporter", None), sys.exc_info()[1]
    if reporter is not None and isinstance(ending, SystemExit) and not ending.code:
        reporter.end()


def child_exit(server: Any, worker: Any) -> None:
    """Keep what the ended process counted, and drop what only a living one can say."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)
    _ready_path(worker.pid).unlink(missing_ok=True)


def _ready_path(pid: int) -> Path:
    return Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]) / f"ready-{pid}"


def _is_loading(pid: int) -> bool:
    """Neither ready nor ended (an ended child is a zombie until gunicorn looks after it)."""
    if _ready_path(pid).exists():
        return False
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False

"""gunicorn's configuration for `web`: `gunicorn -c longtasks/gunicorn.py longtasks.asgi`.

Owns gunicorn's settings and hooks. Must not import Django or the project: after HUP the children would inherit the
parent's modules instead of loading the new code.
"""

import json
import os
import re
import resource
import signal
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
END_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
READY_SECONDS = 60  # how long a new process may load the code before the old processes stop


def _read_process_variables() -> dict[str, str]:
    """Read the settings in a child process, at each start and HUP. If a value is invalid, print the error and exit."""
    result = subprocess.run(
        [sys.executable, "-m", "settings"],
        env={"DJANGO_SETTINGS_MODULE": "settings.development"} | os.environ,
        stdout=subprocess.PIPE,
        check=False,
    )
    if result.returncode:
        sys.exit(result.returncode)
    variables: dict[str, str] = json.loads(result.stdout)
    return variables


_variables = _read_process_variables()

_host = _variables["bind"]
if _host.startswith("unix:"):
    bind = f"{_host}/web.sock"
    Path(_host.removeprefix("unix:")).mkdir(mode=0o755, parents=True, exist_ok=True)
else:
    bind = f"[{_host}]:{_variables['port']}" if ":" in _host else f"{_host}:{_variables['port']}"
workers = int(_variables["web_workers"])
# gunicorn's `asgi` worker with limits: one event loop, on uvloop where it is installed.
worker_class = "longtasks.server.worker.AsgiWorker"
asgi_loop = "auto"
backlog = 2048
# 2,000 streams, 2,000 held requests and all others. Each needs a file descriptor, and many systems default to 1024.
worker_connections = 6000
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (max(_soft, min(_hard, 2 * worker_connections)), _hard))
# Each worker opens its own connections and, on HUP, loads the new code.
preload_app = False

# HUP and TERM wait for requests that threads still process; held requests get their response at once.
timeout = 60
graceful_timeout = 30
keepalive = 75

# The C parser if it is installed, otherwise the Python parser.
http_parser = "auto"
# request_head.py refuses larger requests before the parser runs; these are the parser's maximum values.
limit_request_line = 8190
limit_request_fields = 256
limit_request_field_size = 64 * 1024
# longtasks/http/behind_proxy.py reads a proxy's headers, for every server.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""


class ErrorLogger(Logger):  # type: ignore[misc]
    """gunicorn's logger without an access log, which a `logconfig_dict` would otherwise turn on."""

    access_log_enabled = False  # the metrics count the requests

    def error(self, message: Any, *arguments: Any, **keywords: Any) -> None:
        note_exit(message, arguments)
        super().error(message, *arguments, **keywords)

    def warning(self, message: Any, *arguments: Any, **keywords: Any) -> None:
        note_exit(message, arguments)
        super().warning(message, *arguments, **keywords)


def note_exit(message: Any, arguments: tuple[Any, ...]) -> None:
    """Store how a worker process ended in the environment, which its successor inherits.

    Parses the log line, because gunicorn reports the exit nowhere else.
    """
    if len(arguments) == 2 and (found := EXIT_MESSAGE.match(str(message))):
        how = arguments[1] if found[1] == "was sent" else f"code {arguments[1]}"
        exits = [*os.environ.get(EXITS_VARIABLE, "").split(",")[-KEPT_EXITS:], f"{arguments[0]}={how}"]
        os.environ[EXITS_VARIABLE] = ",".join(filter(None, exits))


logger_class = ErrorLogger
accesslog = None
errorlog = "-"
loglevel = _variables["log_level"].lower()
# The parent's lines (boot, HUP, a worker's exit) have the common format. The parent loads the formatter at its start only.
logconfig_dict = {
    "formatters": {"longtasks": {"()": f"longtasks.log_formatters.{_variables['log_format'].capitalize()}Formatter"}},
    "handlers": {"longtasks": {"class": "logging.StreamHandler", "formatter": "longtasks"}},
    "loggers": {"gunicorn.error": {"level": _variables["log_level"], "handlers": ["longtasks"], "propagate": False}},
    "root": {"level": _variables["log_level"], "handlers": ["longtasks"]},
}
proc_name = "longtasks-web"
# The parent is controlled by signals only.
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Create the directory through which the processes share their request metrics, and empty it.

    gunicorn does not call this on HUP: the counters continue.
    """
    named = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    root = Path(__file__).resolve().parent.parent
    directory = Path(named) if named else root / _variables["data_dir"] / "metrics" / f"web-{_variables['port']}"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if "GUNICORN_PID" not in os.environ:  # with USR2 the old parent's processes still write there
        for path in (*directory.glob("*.db"), *directory.glob("ready-*")):
            path.unlink(missing_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)


def on_reload(server: Any) -> None:
    """Keep the old processes serving until each new process has loaded the code.

    gunicorn would stop the old ones at once, and requests would wait a second or more until the code is loaded.
    """
    known = set(server.WORKERS)

    def manage_workers() -> None:
        del server.manage_workers  # restores gunicorn's own method
        deadline = time.monotonic() + READY_SECONDS
        waiting = set(server.WORKERS) - known
        while waiting and time.monotonic() < deadline:
            waiting = {pid for pid in waiting if _is_loading(pid)}
            time.sleep(0.05)
        server.manage_workers()

    server.manage_workers = manage_workers


def pre_fork(server: Any, worker: Any) -> None:
    """Let signals to the new process wait until its handlers are installed (AsgiWorker.init_signals).

    Until then it has the parent's handlers, which would put them into a queue that nobody reads.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)


os.register_at_fork(after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, END_SIGNALS))


def post_worker_init(worker: Any) -> None:
    """Signal to the parent that this process has loaded the code.

    Removes SCRIPT_NAME, which the settings have read: gunicorn would refuse paths without it, which probes and most
    proxies send.
    """
    os.environ.pop("SCRIPT_NAME", None)
    with suppress(OSError):  # a full disk only makes the parent wait longer
        _ready_path(worker.pid).touch()
    from tasks_app.process_monitor.reporter import start_reporting

    worker.reporter = start_reporting("web-worker", parent_kind="web")


def worker_exit(server: Any, worker: Any) -> None:
    """Report a requested exit, so that the successor does not count as a restart.

    Runs in the worker. A hung worker exits with 1, so its exit is not reported here.
    """
    reporter, ending = getattr(worker, "reporter", None), sys.exc_info()[1]
    if reporter is not None and isinstance(ending, SystemExit) and not ending.code:
        reporter.end()


def child_exit(server: Any, worker: Any) -> None:
    """Remove the gauges of the ended process; its counters stay in the sums."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)
    _ready_path(worker.pid).unlink(missing_ok=True)


def _ready_path(pid: int) -> Path:
    return Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]) / f"ready-{pid}"


def _is_loading(pid: int) -> bool:
    """Return whether a child is neither ready nor ended (an ended child is a zombie until gunicorn reaps it)."""
    if _ready_path(pid).exists():
        return False
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False

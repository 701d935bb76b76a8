"""The private and undocumented parts of gunicorn that this project uses: a list.

The code that uses them is gunicorn's configuration (longtasks/gunicorn.py) and the web workers (patient_worker.py,
together_worker.py, holding_worker.py). Only `worker_class` and the hooks are public: gunicorn has no way to collect a
request before a thread gets it, to answer in the event loop, or to keep old processes until the new ones are ready.
tests/longtasks/test_gunicorn_internals.py compares the list with gunicorn and with that code, and fails when either
changes. Must not import gunicorn or the project: it is data.
"""

from __future__ import annotations

from typing import Final

WEB_WORKER_FILES: Final = (
    "longtasks/patient_worker.py",
    "longtasks/together_worker.py",
    "longtasks/holding_worker.py",
)
# The names with an underscore that the web workers may use; tests/test_library_internals.py refuses any other.
WEB_WORKER_PRIVATE_NAMES: Final = ("_cap_keepalive", "_expected_100_continue")

# What the web workers override of gunicorn's ThreadWorker, with the arguments after self.
OVERRIDDEN_BY_WORKERS: Final[dict[str, tuple[str, ...]]] = {
    "_cap_keepalive": ("deadline",),
    "accept": ("listener",),
    "enqueue_req": ("conn",),
    "finish_request": ("conn", "fs"),
    "handle_error": ("req", "client", "addr", "exc"),
    "handle_request": ("req", "conn"),
    "init_process": (),
    "load_wsgi": (),
    "murder_pending": (),
    "on_client_socket_readable": ("conn", "client"),
    "on_pending_socket_readable": ("conn", "client"),
    "set_accept_enabled": ("enabled",),
    "wait_for_and_dispatch_events": ("timeout",),
}
# What they read of a ThreadWorker, of its queue of methods and of its connections.
READ_OF_WORKER: Final = (
    *("alive", "cfg", "handle", "keepalived_conns", "log", "method_queue", "nr_conns", "pending_conns", "poller"),
    *("tpool", "worker_connections"),
)
READ_OF_METHOD_QUEUE: Final = ("defer",)
OVERRIDDEN_BY_CONNECTIONS: Final[dict[str, tuple[str, ...]]] = {"init": ()}
READ_OF_CONNECTION: Final = ("client", "close", "data_ready", "parser", "sock", "timeout")

# What the configuration uses of the arbiter: it replaces `manage_workers` for one call, and reads the lines in which
# gunicorn logs how a process ended.
READ_OF_ARBITER: Final = ("WORKERS", "manage_workers")
EXIT_MESSAGES: Final = ("Worker (pid:%s) was sent %s!", "Worker (pid:%s) exited with code %s.")

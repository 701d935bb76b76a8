"""gunicorn's configuration for `web`: `gunicorn -c longtasks/gunicorn.py longtasks.wsgi`.

Must not import Django or the project: what the parent imports, its children get on HUP, and new code would not be.
"""

import json
import os
import subprocess
import sys


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

bind = f"{_variables['bind']}:{_variables['port']}"
workers = int(_variables["web_workers"])
worker_class = "gthread"
threads = int(_variables["web_threads"])
backlog = 2048
# Each worker opens its own connections and, on HUP, loads the new code.
preload_app = False

# ?wait= holds a request for up to 20 s; HUP and TERM wait for it before its worker ends.
timeout = 60
graceful_timeout = 30
keepalive = 75

# The C parser where it is installed, Python's otherwise.
http_parser = "auto"
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
forwarded_allow_ips = _variables["forwarded_allow_ips"]

accesslog = None
errorlog = "-"
loglevel = _variables["log_level"].lower()
proc_name = "longtasks-web"
# No second way in beside the signals.
control_socket_disable = True

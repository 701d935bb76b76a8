"""`python -m longtasks.web`: the launcher of the web server that WEB_SERVER names, gunicorn or granian.

Owns the server's command line. The server replaces this process (exec, same pid), so signals reach the server. Must not
serve a request.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from settings.addresses import UNIX
from settings.env import ROOT, Process, load

STOP_SECONDS = 30  # grace period for running requests


def gunicorn_command() -> list[str]:
    return ["gunicorn", "-c", "longtasks/gunicorn.py", "longtasks.wsgi"]


def granian_command(process: Process) -> list[str]:
    """Return granian's command with the processes, threads and address that gunicorn.py gives gunicorn."""
    listen = ["--host", process.bind, "--port", str(process.port)]
    if process.bind.startswith(UNIX):
        listen = ["--uds", f"{process.bind.removeprefix(UNIX)}/web.sock"]
    return [
        "granian",
        *("--interface", "wsgi", "--http", "1"),
        *listen,
        *("--workers", str(process.web_workers), "--blocking-threads", str(process.web_threads)),
        *("--backlog", "2048"),
        *("--respawn-failed-workers", "--workers-kill-timeout", str(STOP_SECONDS)),
        *("--log-level", process.log_level.lower(), "--no-access-log"),
        "longtasks.wsgi:application",
    ]


def granian_environment(process: Process, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with the directory for shared request metrics; create and empty that directory."""
    named = environment.get("PROMETHEUS_MULTIPROC_DIR", "")
    directory = Path(named) if named else ROOT / process.data_dir / "metrics" / f"web-{process.port}"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in directory.glob("*.db"):
        path.unlink(missing_ok=True)
    return {**environment, "PROMETHEUS_MULTIPROC_DIR": str(directory)}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.development")
    environment = dict(os.environ)  # copied before load() adds the variables of .env, which the server reads itself
    try:
        process = load().process
        _ = settings.SECRET_KEY  # loads DJANGO_SETTINGS_MODULE, which may raise ImproperlyConfigured
    except ImproperlyConfigured as error:
        sys.exit(f"longtasks: {error}")
    if process.web_server == "GRANIAN":
        if process.bind.startswith(UNIX):
            Path(process.bind.removeprefix(UNIX)).mkdir(mode=0o755, parents=True, exist_ok=True)
        command, environment = granian_command(process), granian_environment(process, environment)
    else:
        command = gunicorn_command()
    if shutil.which(command[0]) is None:
        sys.exit(f"longtasks: {command[0]} is not on PATH: pip install -r requirements-{command[0]}.txt")
    os.execvpe(command[0], command, environment)  # noqa: S606 (our own server, without a shell)


if __name__ == "__main__":
    main()

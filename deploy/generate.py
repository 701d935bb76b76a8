#!/usr/bin/env python3
"""Generates deploy/systemd/ and deploy/supervisord.conf from the Procfile: `python deploy/generate.py [--check]`.

The Procfile is the one list of processes; what differs between supervisors stands here. Needs the standard library
only. `--check` writes nothing and ends with 1 where a file is not what the Procfile says (a test runs it).
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTE = "Generated from the Procfile by deploy/generate.py: change those, not this file."
# Seconds that a process may take to end: web waits for its requests (graceful_timeout), a worker for its chunk.
STOP_SECONDS = 40
# As many as there are cores, unless the environment says otherwise.
CORES = ("WORKERS", "WEB_WORKERS")
WHAT = {
    "web": "answers HTTP",
    "worker": "runs tasks",
    "mirror": "mirrors tasks into the database and rescues them",
    "webhooks": "tells receivers of tasks that have ended",
    "stream": "serves the live stream",
}


def read_procfile() -> dict[str, str]:
    lines = (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    return {
        name.strip(): command.strip() for name, _, command in (line.partition(":") for line in lines if line.strip())
    }


def shell_command(command: str, *, dollar: str, percent: str) -> str:
    """The Procfile's line for a shell that first counts the cores; `exec` makes the signalled process ours."""
    defaults = " ".join(f'{name}="${{{name}:-$(nproc)}}"' for name in CORES)
    script = f"export {defaults}; exec {command}"
    return f"/bin/sh -c '{script}'".replace("$", dollar).replace("%", percent)


def systemd_unit(name: str, command: str) -> str:
    return f"""\
# {NOTE}
[Unit]
Description=longtasks {name}: {WHAT.get(name, "see the Procfile")}
After=network-online.target
Wants=network-online.target
PartOf=longtasks.target
# A process that can't start is tried again for ever: the cause may be elsewhere.
StartLimitIntervalSec=0

[Service]
Type=exec
User=longtasks
Group=longtasks
WorkingDirectory=/opt/longtasks
Environment=DJANGO_SETTINGS_MODULE=settings.production
Environment=PATH=/opt/longtasks/.venv/bin:/usr/local/bin:/usr/bin:/bin
Environment=PYTHONUNBUFFERED=1
Environment=DATA_DIR=/var/lib/longtasks
EnvironmentFile=/etc/longtasks/env
ExecStart={shell_command(command, dollar="$$", percent="%%")}
# New code without a gap; see docs/operations.md.
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=1
RestartSteps=6
RestartMaxDelaySec=30
KillMode=mixed
TimeoutStopSec={STOP_SECONDS}
StateDirectory=longtasks
RuntimeDirectory=longtasks-{name}
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
LimitNOFILE=65536

[Install]
WantedBy=longtasks.target
"""


def systemd_target(names: list[str]) -> str:
    units = " ".join(f"longtasks-{name}.service" for name in names)
    return f"""\
# {NOTE}
[Unit]
Description=longtasks
Wants={units}

[Install]
WantedBy=multi-user.target
"""


def supervisord_conf(processes: dict[str, str]) -> str:
    """One file for every place: LONGTASKS_HOME (the project) and LONGTASKS_RUN (socket, pid, logs) say where."""
    parts = [
        f"""\
; {NOTE}
; Wants LONGTASKS_HOME (the project), LONGTASKS_RUN (an existing directory for socket, pid and logs) and what .env.example names:
;   LONGTASKS_HOME=$PWD LONGTASKS_RUN=/run/longtasks supervisord -c deploy/supervisord.conf

[supervisord]
logfile=%(ENV_LONGTASKS_RUN)s/supervisord.log
logfile_maxbytes=10MB
logfile_backups=5
pidfile=%(ENV_LONGTASKS_RUN)s/supervisord.pid

[unix_http_server]
file=%(ENV_LONGTASKS_RUN)s/supervisor.sock
chmod=0700

[supervisorctl]
serverurl=unix://%(ENV_LONGTASKS_RUN)s/supervisor.sock

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
    ]
    for name, command in processes.items():
        parts.append(f"""\
[program:{name}]
command={shell_command(command, dollar="$", percent="%%")}
directory=%(ENV_LONGTASKS_HOME)s
environment=PATH="%(ENV_LONGTASKS_HOME)s/.venv/bin:%(ENV_PATH)s",PYTHONUNBUFFERED="1"
autostart=true
autorestart=true
; A start that fails is tried again after 1, 2, 3 … s.
startsecs=1
startretries=1000
; The parent gets the signal and ends its children in order; who is left after that is killed.
stopsignal=TERM
stopwaitsecs={STOP_SECONDS}
killasgroup=true
stdout_logfile=%(ENV_LONGTASKS_RUN)s/{name}.log
stdout_logfile_maxbytes=50MB
stdout_logfile_backups=10
redirect_stderr=true
""")
    return "\n".join(parts)


def generate() -> dict[Path, str]:
    """Every generated file with its content."""
    processes = read_procfile()
    directory = ROOT / "deploy"
    files = {directory / "supervisord.conf": supervisord_conf(processes)}
    files[directory / "systemd" / "longtasks.target"] = systemd_target(list(processes))
    for name, command in processes.items():
        files[directory / "systemd" / f"longtasks-{name}.service"] = systemd_unit(name, command)
    return files


def main(arguments: list[str]) -> int:
    files = generate()
    known = set((ROOT / "deploy" / "systemd").glob("longtasks*"))
    stale = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    left_over = sorted(known - set(files))
    if "--check" in arguments:
        for path in (*stale, *left_over):
            sys.stdout.write(f"{path.relative_to(ROOT)} is not what the Procfile says: run python deploy/generate.py\n")
        return 1 if stale or left_over else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], encoding="utf-8")
    for path in left_over:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

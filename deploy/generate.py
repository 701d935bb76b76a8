#!/usr/bin/env python3
"""Generates what deploy/ repeats of the Procfile and of .env.example: `python deploy/generate.py [--check]`.

The Procfile is the one list of processes: from it come deploy/systemd/ and deploy/supervisord.conf. .env.example is the
list of variables (a test keeps it equal to settings/env.py): from it come the ConfigMap, the Secret and the part of
compose.yaml between `generated: begin` and `generated: end`. Needs the standard library only. `--check` writes nothing
and ends with 1 where a file is not what they say (a test runs it).
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTE = "Generated from the Procfile by deploy/generate.py: change those, not this file."
VARIABLES_NOTE = "Generated from .env.example by deploy/generate.py"
# Seconds that a process may take to end: web waits for its requests (30 s), webhooks for their receivers (10 s); a
# worker ends within two and leaves its chunk to another.
STOP_SECONDS = 40
WHAT = {
    "web": "answers HTTP and serves the live stream",
    "worker": "runs tasks",
    "mirror": "mirrors tasks into the database and rescues them",
    "webhooks": "tells receivers of tasks that have ended",
}
# What the ConfigMap and the Secret set; every other variable stands in them as a comment with its default.
KUBERNETES_VALUES = {
    "ALLOWED_HOSTS": "longtasks.example.com",
    # The pods of the ingress controller, which end TLS: your cluster's network of pods.
    "FORWARDED_ALLOW_IPS": "10.0.0.0/8",
    "BIND": "0.0.0.0",  # noqa: S104 (the pod's network)
    "DATA_DIR": "/var/lib/longtasks",
    # One process a pod: KEDA counts pods.
    "WORKERS": "1",
    "SECRET_KEY": "replace-me-with-50-random-characters",
    "DATABASE_URL": "mysql://longtasks@mysql:3306/longtasks",
    "DATABASE_PASSWORD": "replace-me",
    "REDIS_URL": "redis://redis:6379/0",
}


@dataclass(frozen=True)
class Variable:
    """A variable of .env.example."""

    name: str
    default: str
    meaning: str

    @property
    def is_secret(self) -> bool:
        return self.name.endswith(("_URL", "_PASSWORD", "SECRET", "SECRET_KEY"))


def read_variables() -> list[Variable]:
    blocks = (ROOT / ".env.example").read_text(encoding="utf-8").strip().split("\n\n")[1:]
    found = []
    for block in blocks:
        meaning, _, line = block.partition("\n")
        name, _, default = line.partition("=")
        found.append(Variable(name, default, meaning.removeprefix("# ")))
    return found


def read_procfile() -> dict[str, str]:
    lines = (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    return {
        name.strip(): command.strip() for name, _, command in (line.partition(":") for line in lines if line.strip())
    }


def shell_command(command: str, *, dollar: str, percent: str) -> str:
    """The Procfile's line for a shell; `exec` makes the signalled process ours."""
    return f"/bin/sh -c 'exec {command}'".replace("$", dollar).replace("%", percent)


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
# A wrong setting ends the reload here, and the old processes go on.
ExecReload=/bin/sh -c 'exec python -m settings >/dev/null'
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=2
KillMode=mixed
TimeoutStopSec={STOP_SECONDS}
StateDirectory=longtasks
RuntimeDirectory=longtasks-{name}
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
PrivateTmp=yes
PrivateDevices=yes
RemoveIPC=yes
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
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


def quoted(text: str) -> str:
    """A text in YAML, always a text: `1` and `no` stay what they are."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def kubernetes_entries(variables: list[Variable]) -> str:
    lines = []
    for each in variables:
        mark = "" if each.name in KUBERNETES_VALUES else "# "
        lines += [
            "",
            f"  # {each.meaning}",
            f"  {mark}{each.name}: {quoted(KUBERNETES_VALUES.get(each.name, each.default))}",
        ]
    return "\n".join(lines[1:]) + "\n"


def config_map(variables: list[Variable]) -> str:
    return f"""\
# {VARIABLES_NOTE}: every variable that is no secret. Change values by a patch
# of your own kustomization, or here; what is commented out has its default.
apiVersion: v1
kind: ConfigMap
metadata:
  name: longtasks
data:
  DJANGO_SETTINGS_MODULE: settings.production

{kubernetes_entries([each for each in variables if not each.is_secret])}"""


def secret(variables: list[Variable]) -> str:
    return f"""\
# {VARIABLES_NOTE}: every variable that may hold a secret. An example: keep
# the real one out of the repository. In a URL, user and password are percent-encoded (@ is %40, / is %2F, # is %23, % is
# %25, $ is %24); DATABASE_PASSWORD is taken as it is.
apiVersion: v1
kind: Secret
metadata:
  name: longtasks
type: Opaque
stringData:
{kubernetes_entries([each for each in variables if each.is_secret])}"""


def compose_file(text: str, variables: list[Variable]) -> str:
    """compose.yaml with every variable that it does not set by itself: passed on where it is set, else left out."""
    before, begin, rest = text.partition("    # generated: begin\n")
    _, end, after = rest.partition("    # generated: end\n")
    if not (begin and end):
        sys.exit("deploy/compose.yaml has lost its lines `# generated: begin` and `# generated: end`.")
    own = set(re.findall(r"^    ([A-Z][A-Z0-9_]*):", before, re.MULTILINE))
    names = "".join(f"    {each.name}:\n" for each in variables if each.name not in own)
    return before + begin + names + end + after


def generate() -> dict[Path, str]:
    """Every generated file with its content."""
    processes, variables = read_procfile(), read_variables()
    directory = ROOT / "deploy"
    compose = directory / "compose.yaml"
    files = {
        compose: compose_file(compose.read_text(encoding="utf-8"), variables),
        directory / "kubernetes" / "configmap.yaml": config_map(variables),
        directory / "kubernetes" / "secret.yaml": secret(variables),
    }
    files |= {directory / "supervisord.conf": supervisord_conf(processes)}
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
            sys.stdout.write(
                f"{path.relative_to(ROOT)} is not what the Procfile and .env.example say: run python deploy/generate.py\n"
            )
        return 1 if stale or left_over else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], encoding="utf-8")
    for path in left_over:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

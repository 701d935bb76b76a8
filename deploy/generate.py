#!/usr/bin/env python3
"""`python deploy/generate.py [--check]`: generates the files of deploy/ that depend on the Procfile or .env.example.

Owns these files. From the Procfile, the only list of processes: deploy/systemd/ and deploy/supervisord.conf. From
.env.example, the list of variables (a test keeps it equal to settings/env.py): the ConfigMap, the Secret, and the part of
compose.yaml between `generated: begin` and `generated: end`. Must import only the standard library. `--check` writes
nothing and exits with 1 if a file is out of date (a test runs it).
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTE = "Generated from the Procfile by deploy/generate.py: change those two, not this file."
VARIABLES_NOTE = "Generated from .env.example by deploy/generate.py"
# How long a process may take to end: web waits for its requests (30 s), webhooks for receivers (10 s); a worker ends
# within two seconds, and another worker continues its task.
STOP_SECONDS = 40
WHAT = {
    "web": "serves HTTP and the live stream",
    "worker": "runs tasks",
    "mirror": "mirrors tasks into the database and rescues them",
    "webhooks": "notifies receivers of ended tasks",
}
# The values that the ConfigMap and the Secret set; they list every other variable as a comment with its default.
KUBERNETES_VALUES = {
    "ALLOWED_HOSTS": "longtasks.example.com",
    # The ingress controller, which terminates TLS, has an address of the cluster's pod network.
    "FORWARDED_ALLOW_IPS": "10.0.0.0/8",
    "BIND": "0.0.0.0",  # noqa: S104 (the pod's network)
    "DATA_DIR": "/var/lib/longtasks",
    # One process per pod, because KEDA counts pods.
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
        return self.name.endswith(("_URL", "_PASSWORD", "SECRET", "SECRET_KEY", "_OPTIONS"))


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
    """Return the shell command for a Procfile line. `exec` replaces the shell, so that signals reach the process."""
    return f"/bin/sh -c 'exec {command}'".replace("$", dollar).replace("%", percent)


def systemd_unit(name: str, command: str) -> str:
    return f"""\
# {NOTE}
[Unit]
Description=longtasks {name}: {WHAT.get(name, "see the Procfile")}
After=network-online.target
Wants=network-online.target
PartOf=longtasks.target
# Retry a failing start without limit, because the cause may be another service.
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
# A reload loads new code without downtime; see docs/operations.md.
# If a setting is invalid, the reload stops here, and the old processes continue.
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
    """Return a configuration without fixed paths: LONGTASKS_HOME and LONGTASKS_RUN name the directories."""
    parts = [
        f"""\
; {NOTE}
; Needs LONGTASKS_HOME (the project), LONGTASKS_RUN (an existing directory for socket, pid and logs), and the variables of
; .env.example that you change:
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
; A failed start is retried after 1, 2, 3 … s.
startsecs=1
startretries=1000
; The parent gets the signal and stops its children in order; processes that remain after stopwaitsecs are killed.
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
    """Return a quoted YAML string, so that `1` and `no` remain text."""
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
# {VARIABLES_NOTE}: every variable that is not secret. Change values here or by a
# patch in your own kustomization; a variable that is commented out has its default.
apiVersion: v1
kind: ConfigMap
metadata:
  name: longtasks
data:
  DJANGO_SETTINGS_MODULE: settings.production

{kubernetes_entries([each for each in variables if not each.is_secret])}"""


def secret(variables: list[Variable]) -> str:
    return f"""\
# {VARIABLES_NOTE}: every variable that may hold a secret. This is an example: keep
# the real file out of the repository. In a URL, percent-encode user and password (@ is %40, / is %2F, # is %23, % is %25,
# $ is %24); DATABASE_PASSWORD is not encoded.
apiVersion: v1
kind: Secret
metadata:
  name: longtasks
type: Opaque
stringData:
{kubernetes_entries([each for each in variables if each.is_secret])}"""


def compose_file(text: str, variables: list[Variable]) -> str:
    """Return compose.yaml with a line for each variable that it does not set itself; compose passes on those that are set."""
    before, begin, rest = text.partition("    # generated: begin\n")
    _, end, after = rest.partition("    # generated: end\n")
    if not (begin and end):
        sys.exit("deploy/compose.yaml has lost its lines `# generated: begin` and `# generated: end`.")
    own = set(re.findall(r"^    ([A-Z][A-Z0-9_]*):", before, re.MULTILINE))
    names = "".join(f"    {each.name}:\n" for each in variables if each.name not in own)
    return before + begin + names + end + after


def generate() -> dict[Path, str]:
    """Return every generated file with its content."""
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
                f"{path.relative_to(ROOT)} differs from the Procfile or .env.example: run python deploy/generate.py\n"
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

"""A container without Docker: commands in namespaces with the files, mounts, user and environment of the real one.

Owns the root file system (read-only, of the files that the Dockerfile copies), its network and the dropped rights.
Must not know compose or Kubernetes. Its processes end with `close`, and with this process.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from longtasks.local_stack import child_process
from settings.env import ROOT

DOCKERFILE: Final = ROOT / "deploy" / "Dockerfile"
TOOLS: Final = ("unshare", "nsenter", "chroot", "setpriv", "ip", "mount")
SYSTEM_PATHS: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def why_not() -> str:
    """Return the reason why this machine cannot run it, or an empty text."""
    if os.geteuid() != 0:
        return "only root may make namespaces"
    missing = [tool for tool in TOOLS if shutil.which(tool, path=_PATH) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    tried = subprocess.run(
        ["unshare", "--mount", "--net", "mount", "-t", "tmpfs", "none", "/mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"namespaces are not allowed here: {tried.stderr.strip()}" if tried.returncode else ""


def image_environment() -> dict[str, str]:
    """Return the environment of the Dockerfile's ENV, and HOME as Docker sets it."""
    text = re.search(r"^ENV (.*?[^\\])$", DOCKERFILE.read_text(), re.MULTILINE | re.DOTALL)
    assert text
    pairs = (pair.partition("=") for pair in text[1].replace("\\\n", " ").split())
    values = {name: value.replace("$PATH", "/usr/local/bin:/usr/bin:/bin") for name, _, value in pairs}
    return {"HOME": "/var/lib/longtasks", **values}


def image_files() -> dict[str, Path]:
    """Return the project's files that the Dockerfile copies, by their path in the image."""
    last_stage = DOCKERFILE.read_text().rpartition("\nFROM ")[2]
    work_dir = re.search(r"^WORKDIR (\S+)$", last_stage, re.MULTILINE)
    assert work_dir
    found = {}
    for sources, target in re.findall(r"^COPY (?!--from)(.+) (\S+)$", last_stage, re.MULTILINE):
        for source in sources.split():
            name = source if target.endswith("/") else target
            found[f"{work_dir[1]}/{name}"] = ROOT / source
    return found


class Namespaces:
    """One root file system and one network, in which `run` and `start` work as user 10001 without rights."""

    def __init__(
        self, *, user: str, tmpfs: Sequence[str], sockets: Mapping[str, Path], addresses: Sequence[str]
    ) -> None:
        self._uid, _, self._gid = user.partition(":")
        self._mark = uuid.uuid4().hex
        self._directory = Path(tempfile.mkdtemp(prefix="longtasks-namespaces-"))
        self.root = self._directory / "root"
        self.root.mkdir()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        script = "\n".join(
            ["set -e", *self._mounts(tmpfs, sockets), "ip link set lo up"]
            + [f"ip address add {address}/32 dev lo" for address in addresses]
            + [f"touch {self._directory}/ready", "exec sleep infinity"]
        )
        self._holder = self._spawn(
            ["unshare", "--mount", "--net", "--propagation", "private", "/bin/sh", "-c", script],
            {"PATH": _PATH},
            "holder",
        )
        ready = self._directory / "ready"
        child_process.wait_until(lambda: ready.exists() or self._holder.poll() is not None, deadline_seconds=30)
        if not ready.exists():
            log = self.log("holder")
            self.close()
            raise RuntimeError(f"the namespaces could not be made:\n{log}")

    def _mounts(self, tmpfs: Sequence[str], sockets: Mapping[str, Path]) -> list[str]:
        root = self.root
        lines = [f"mount -t tmpfs -o mode=0755 none {root}"]
        for name in SYSTEM_PATHS:
            if Path(name).is_symlink():
                lines.append(f"ln -s {os.readlink(name)} {root}{name}")
            elif Path(name).exists():
                lines += [f"mkdir {root}{name}", f"mount --rbind {name} {root}{name}"]
        lines += [f"mkdir {root}/{name} && mount --rbind /{name} {root}/{name}" for name in ("proc", "dev")]
        lines += [f"mkdir -p {root}/opt/longtasks"]
        for target, source in image_files().items():
            lines += [
                f"{'mkdir -p' if source.is_dir() else 'touch'} {root}{target}",
                f"mount --bind {source} {root}{target}",
            ]
        for target, source in sockets.items():
            lines += [f"mkdir -p {root}{os.path.dirname(target)}", f"touch {root}{target}"]
            lines += [f"mount --bind {source} {root}{target}"]
        for each in tmpfs:
            path, _, options = each.partition(":")
            lines += [f"mkdir -p {root}{path}", f"mount -t tmpfs -o {options} none {root}{path}"]
        # Its Python: interpreter and packages at the paths in their scripts. Last, because these may be below a tmpfs.
        packages = os.path.realpath(sys.prefix)
        for path in dict.fromkeys((packages, os.path.realpath(sys.base_prefix))):
            if not any(path.startswith(f"{name}/") or path == name for name in SYSTEM_PATHS):
                lines += [f"mkdir -p {root}{path}", f"mount --bind {path} {root}{path}"]
        lines += [f"ln -s {packages} {root}/opt/venv"]
        read_only = ["", "/usr", "/etc", packages, *image_files()]
        lines += [f"! mountpoint -q {root}{path} || mount -o remount,bind,ro {root}{path}" for path in read_only]
        return lines

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the command that runs these words as the container's user, without rights or a way to gain any."""
        inside = [f"--{kind}=/proc/{self._holder.pid}/ns/{name}" for kind, name in (("mount", "mnt"), ("net", "net"))]
        return [
            "/usr/bin/nsenter", *inside, "/usr/sbin/chroot", str(self.root), "/usr/bin/env", "-C", "/opt/longtasks",
            "/usr/bin/setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", f"--reuid={self._uid}",
            f"--regid={self._gid}", "--clear-groups", "--pdeathsig=SIGTERM", *words,
        ]  # fmt: skip

    def start(self, name: str, words: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a container's command; `log(name)` returns its output."""
        return self._spawn(self.command(words), {**image_environment(), **environment}, name)

    def run(
        self, words: Sequence[str], environment: Mapping[str, str], *, timeout_seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, as `docker exec` or an exec probe does."""
        return subprocess.run(
            self.command(words),
            env={**image_environment(), **environment, child_process.MARK: self._mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )

    def process(self, name: str) -> subprocess.Popen[bytes]:
        return self._processes[name]

    def log(self, name: str) -> str:
        path = self._directory / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def close(self) -> None:
        for process in reversed(self._processes.values()):
            child_process.stop(process=process, grace_seconds=0)
        child_process.kill_marked(mark=self._mark)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _spawn(self, command: Sequence[str], environment: Mapping[str, str], name: str) -> subprocess.Popen[bytes]:
        with (self._directory / f"{name}.log").open("ab") as log:
            process = child_process.spawn(
                command=command,
                environment={**environment, child_process.MARK: self._mark},
                output=log,
                directory=self._directory,
            )
        self._processes[name] = process
        return process

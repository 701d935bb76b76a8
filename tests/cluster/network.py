"""Owns the network of the cluster test: one namespace for each host, with its own address, on one switch.

The switch is in a namespace too, so this machine's network is neither touched nor reached. Hosts are isolated as by a
pulled cable: packets vanish without an error.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence

from longtasks.local_stack import child_process

PREFIX = "ltc-"
SWITCH = f"{PREFIX}switch"
SUBNET = "10.213.77"
NOBODY = "02:00:00:00:00:fe"  # a hardware address that no host has


class NetworkError(Exception):
    """The namespaces cannot be created here; the message is one line with the cause."""


class Network:
    """`with Network(hosts) as network:`; the end of the block removes every namespace."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self.hosts = tuple(hosts)
        self._apart: set[tuple[str, str]] = set()

    def __enter__(self) -> Network:
        refusal = find_refusal()
        if refusal:
            raise NetworkError(refusal)
        try:
            self._make()
        except BaseException:
            remove_all()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        remove_all()

    def address(self, host: str) -> str:
        return f"{SUBNET}.{self.hosts.index(host) + 10}"

    def command(self, host: str, command: Sequence[str]) -> list[str]:
        """Return the command as run on a host. `ip` executes it in its own process, so the pid is the command's."""
        return [_ip(), "netns", "exec", PREFIX + host, *command]

    def cut(self, host: str) -> None:
        """Pull the host's cable."""
        _run("netns", "exec", SWITCH, _ip(), "link", "set", f"p-{host}", "nomaster")

    def mend(self, host: str) -> None:
        _run("netns", "exec", SWITCH, _ip(), "link", "set", f"p-{host}", "master", "switch")

    def part(self, host: str, others: Sequence[str]) -> None:
        """Drop the packets between a host and some others, in both directions; other traffic passes."""
        for other in others:
            self._apart.add((host, other))
            for one, two in ((host, other), (other, host)):
                _run("-n", PREFIX + one, "neigh", "replace", self.address(two), "lladdr", NOBODY, "dev", "eth0",
                     "nud", "permanent")  # fmt: skip

    def rejoin(self) -> None:
        """Undo every `part`."""
        for host, other in self._apart:
            for one, two in ((host, other), (other, host)):
                _run("-n", PREFIX + one, "neigh", "del", self.address(two), "dev", "eth0")
        self._apart.clear()

    def _make(self) -> None:
        _run("netns", "add", SWITCH)
        _run("-n", SWITCH, "link", "add", "switch", "type", "bridge")
        _run("-n", SWITCH, "link", "set", "switch", "up")
        for host in self.hosts:
            _run("netns", "add", PREFIX + host)
            _run("-n", PREFIX + host, "link", "add", "eth0", "type", "veth", "peer", "name", f"p-{host}")
            _run("-n", PREFIX + host, "link", "set", f"p-{host}", "netns", SWITCH)
            _run("-n", SWITCH, "link", "set", f"p-{host}", "master", "switch")
            _run("-n", SWITCH, "link", "set", f"p-{host}", "up")
            _run("-n", PREFIX + host, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
            _run("-n", PREFIX + host, "link", "set", "eth0", "up")
            _run("-n", PREFIX + host, "link", "set", "lo", "up")


def find_refusal() -> str:
    """Return why no namespaces can be created here, in one line; "" if they can."""
    if _ip(required=False) is None:
        return "the cluster test needs `ip`: apt-get install iproute2"
    if _left_over():
        return "namespaces of a cluster test are there: another one runs, or one was killed: `make cluster-clean`"
    probe = f"{PREFIX}probe"
    tried = subprocess.run([_ip(), "netns", "add", probe], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"the cluster test may not make network namespaces here ({tried.stderr.strip()}): run it as root"
    try:
        for kind in ("bridge", "veth"):  # the kernel may lack them although namespaces are allowed
            tried = subprocess.run(
                [_ip(), "-n", probe, "link", "add", f"try-{kind}", "type", kind],
                capture_output=True,
                text=True,
                check=False,
            )
            if tried.returncode:
                return f"the cluster test can't make a {kind} here: {tried.stderr.strip()}"
    finally:
        _run("netns", "delete", probe)
    return ""


def remove_all() -> None:
    """End all processes in the namespaces of this test and remove them. Touches nothing else."""
    for name in _left_over():
        for _ in range(50):
            pids = [int(pid) for pid in _run("netns", "pids", name).split()]
            if not pids:
                break
            child_process.signal_pids(pids=pids, signal_number=signal.SIGKILL)
            child_process.wait_until(lambda pids=pids: not any(map(_lives, pids)), deadline_seconds=0.2)
        _run("netns", "delete", name)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _left_over() -> list[str]:
    names = [line.split()[0] for line in _run("netns", "list").splitlines() if line.strip()]
    return [name for name in names if name.startswith(PREFIX)]


def _ip(*, required: bool = True) -> str | None:
    path = shutil.which("ip", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]))
    if path is None and required:
        raise NetworkError("`ip` is not installed: apt-get install iproute2")
    return path


def _run(*words: str) -> str:
    done = subprocess.run([_ip() or "ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NetworkError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout

"""Describes the machine and the versions of the figures, and the time of a synced write on its disk."""

import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from loadtests.bench.errors import BenchError
from loadtests.k6 import K6Missing, find_k6

PACKAGES = ("Django", "djangorestframework", "gunicorn", "uvloop", "rq", "redis", "hiredis", "mysqlclient")
BINARIES = {"MariaDB": "mariadbd", "Redis": "redis-server", "Node.js": "node", "wrk": "wrk", "h2load": "h2load"}
GENERATORS = {"wrk": "wrk", "h2load": "nghttp2-client"}  # their Debian packages
VERSION = re.compile(r"\d+\.\d+\.\d+")
FSYNCS = 200
QUIET_CORES = 0.2  # what other processes may use while figures are valid


def describe_machine() -> dict[str, Any]:
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memoryGiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": _system(),
        "kernel": platform.release(),
        "fileSystem": _file_system(Path(tempfile.gettempdir())),
        "fsyncMicroseconds": round(_fsync_microseconds()),
        "versions": _versions(),
    }


def busy_cores(*, seconds: float = 1.0) -> float:
    """Return the cores in use now; before the bench starts anything, other processes use them."""
    before = cpu_ticks()
    time.sleep(seconds)
    after = cpu_ticks()
    busy, total = (now - then for now, then in zip(after, before, strict=True))
    return (os.cpu_count() or 1) * busy / total if total else 0.0


def require_tools() -> None:
    """Raise BenchError with one line if something is missing, before anything starts."""
    for binary, package in GENERATORS.items():
        if shutil.which(binary) is None:
            raise BenchError(f"{binary} is not installed: apt-get install {package}")
    try:
        find_k6()
    except K6Missing as error:
        raise BenchError(str(error)) from error


def cpu_ticks() -> tuple[int, int]:
    """Return busy and all ticks of all cores since the start of the machine."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _system() -> str:
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return platform.system()


def _file_system(path: Path) -> str:
    """Return the type of the file system of `path`: on tmpfs an fsync costs nothing and stores nothing."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    holding = [mount for mount in mounts if path.is_relative_to(mount[1])]
    return max(holding, key=lambda mount: len(mount[1]))[2] if holding else "unknown"


def _fsync_microseconds() -> float:
    """Return the median time of an append of 500 bytes and its fsync, in the servers' directory."""
    times = []
    with tempfile.TemporaryFile(dir="/tmp") as file:
        for _ in range(FSYNCS):
            started = time.perf_counter()
            file.write(b"x" * 500)
            file.flush()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - started) * 1e6)
    return median(times)


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    for name, binary in BINARIES.items():
        if number := _version_of(binary, "--version"):
            found[name] = number
    return found | {"k6": _version_of(find_k6(), "version")}


def _version_of(binary: str, argument: str) -> str:
    """Return the first version number that the binary prints; empty if it is not installed."""
    path = shutil.which(binary, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if path is None:
        return ""
    result = subprocess.run(
        [path, argument], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, check=False
    )
    match = VERSION.search(result.stdout)
    return match[0] if match else ""

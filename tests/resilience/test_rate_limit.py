"""The buckets of the rate limit: shared by all processes of a machine, and in memory if the disk is full."""

import subprocess
import sys
import time
from os import environ
from typing import Any

import pytest

from tasks_app.resilience import machine_numbers, rate_limit


def test_all_processes_share_the_buckets(settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # All at the same time, or the bucket would fill while a process starts. 2 ** -8 seconds a request: no rounding.
    code = (
        "import django, sys, time; django.setup()\n"
        "from tasks_app.resilience import rate_limit\n"
        f"time.time = lambda: {time.time()!r}\n"
        "print(flush=True); sys.stdin.readline()\n"
        "print(sum(not rate_limit.take(7, per_minute=15_360) for _ in range(8_000)))"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**environ, "DATA_DIR": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == b"\n"
    for child in children:  # all have started: they use one bucket concurrently
        assert child.stdin is not None
        child.stdin.write(b"\n")
        child.stdin.flush()
    assert sum(int(child.communicate(timeout=60)[0]) for child in children) == 15_360


def test_the_bucket_of_an_address_depends_on_the_secret_key(settings: Any) -> None:
    def bucket() -> int:
        rate_limit._key.cache_clear()
        return rate_limit.address_bucket(b"\xc6\x33\x64\x07")

    first = bucket()
    settings.SECRET_KEY = "another"
    assert bucket() != first
    rate_limit._key.cache_clear()
    assert machine_numbers.ADDRESS_BUCKETS <= first < machine_numbers.LOGIN_BUCKETS


def test_buckets_are_in_memory_if_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(machine_numbers.os, "posix_fallocate", full)
    machine_numbers._open.cache_clear()
    try:
        assert machine_numbers._open()[1] is None
        assert [bool(rate_limit.take(3, per_minute=2)) for _ in range(3)] == [False, False, True]
    finally:
        machine_numbers._open.cache_clear()

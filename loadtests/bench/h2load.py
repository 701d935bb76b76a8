"""Runs h2load: POSTs at a fixed rate, for a small part of the CPU that k6 takes, and reads its log.

Owns what the figures mean. A request is due at its place in the rate, whether or not its connection was free then; its
time counts from that moment, so that a slow service cannot slow the generator and look fast.
"""

import re
import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Final, NamedTuple

from loadtests.bench.calibration import calibrate
from loadtests.bench.errors import BenchError
from loadtests.bench.figures import percentile

CONNECTIONS: Final = 40
LATE_START_MS: Final = 100.0
LATE_ANSWER_MS: Final = 1000.0
SPARE_SECONDS: Final = 60
REQUESTS = re.compile(r"^requests: (\d+) total, \d+ started, \d+ done,", re.MULTILINE)
GOOD = re.compile(r"^status codes: (\d+) 2xx,", re.MULTILINE)


class Logged(NamedTuple):
    """A line of h2load's log."""

    started_us: int
    status: int
    took_us: int


def run_h2load(*, url: str, rate: int, seconds: int, body: str, directory: Path) -> dict[str, Any]:
    """Send POSTs at `rate` for `seconds`; returns the figures of `summarize`, h2load's own `cpu_seconds`, and calibrations."""
    log, content = directory / "h2load.log", directory / "h2load.json"
    log.unlink(missing_ok=True)  # h2load appends
    content.write_text(body, encoding="utf-8")
    calibration_ms = [calibrate()]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(
        [
            *("h2load", "--h1", f"--clients={CONNECTIONS}", f"--rps={rate / CONNECTIONS:g}"),
            *(f"--requests={rate * seconds}", *stagger_options(rate)),
            *(f"--data={content}", "--header=content-type: application/json", f"--log-file={log}", url),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds + SPARE_SECONDS,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    calibration_ms.append(calibrate())
    if result.returncode:
        raise BenchError(f"h2load ended with status {result.returncode}:\n{result.stdout[-3000:]}")
    requests, failed = parse_totals(result.stdout)
    if not log.exists():
        raise BenchError(f"h2load logged no request:\n{result.stdout[-3000:]}")
    figures = summarize(read_log(log.read_text()), rate=rate)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return figures | {
        "requests": requests,
        "failed": failed,
        "cpu_seconds": cpu_seconds,
        "calibration_ms": calibration_ms,  # before and after
    }


def stagger_options(rate: int) -> list[str]:
    """Return when the connections begin: one after the other over an interval, otherwise all would send at once."""
    if rate >= 1000:
        return [f"--rate={round(rate / 1000)}", "--rate-period=1ms"]
    return ["--rate=1", f"--rate-period={round(1000 / rate)}ms"]


def parse_totals(output: str) -> tuple[int, int]:
    """Return how many requests were to be sent, and how many of them were not answered with 2xx."""
    requests, good = REQUESTS.search(output), GOOD.search(output)
    if requests is None or good is None:
        raise BenchError(f"h2load printed no totals:\n{output[-3000:]}")
    return int(requests[1]), int(requests[1]) - int(good[1])


def read_log(text: str) -> list[Logged]:
    """Return the requests in the order of their starts."""
    return sorted(Logged(*map(int, line.split())) for line in text.splitlines())


def summarize(requests: Sequence[Logged], *, rate: int) -> dict[str, Any]:
    """Return rate, times in ms from the moment at which a request was due, and how many were late.

    Late: sent more than LATE_START_MS after it was due, or answered more than LATE_ANSWER_MS after it.
    """
    if not requests:
        raise BenchError("h2load logged no request")
    began_us = requests[0].started_us
    behind_ms = [
        max(0.0, (request.started_us - began_us) / 1000 - place * 1000 / rate) for place, request in enumerate(requests)
    ]
    times_ms = [behind + request.took_us / 1000 for behind, request in zip(behind_ms, requests, strict=True)]
    late = sum(
        behind > LATE_START_MS or took > LATE_ANSWER_MS for behind, took in zip(behind_ms, times_ms, strict=True)
    )
    elapsed_us = max(1, requests[-1].started_us - began_us)
    return {
        "rate": max(1, len(requests) - 1) / elapsed_us * 1e6,
        "mean_ms": fmean(times_ms),
        "median_ms": percentile(times_ms, 0.5),
        "p99_ms": percentile(times_ms, 0.99),
        "max_ms": max(times_ms),
        "late": late,
    }

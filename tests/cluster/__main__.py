"""`python -m tests.cluster`: builds the cluster, makes every fault of `faults` under load, judges, writes the report.

`--clean` removes what a killed run has left. `--only PATTERN` makes only the faults with a matching name.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from loadtests.started.servers import ServerError
from longtasks.local_stack import child_process
from longtasks.local_stack.procfile import PROJECT_DIR, process_environment
from tests.cluster import network
from tests.cluster.cluster import LOAD, Cluster, ClusterError
from tests.cluster.faults import Fault, broken, hold, list_faults
from tests.cluster.nodes import list_missing
from tests.cluster.oracle import Verdict, judge, read_lines
from tests.cluster.report import write_report

WHOLE_SECONDS = 150
END_SECONDS = 400
SETTLE_SECONDS = 60


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster")
    parser.add_argument("--clean", action="store_true", help="remove the namespaces that a killed run has left")
    parser.add_argument("--only", default="", help="faults whose name matches this pattern")
    parser.add_argument("--single-writer", action="store_true", help="all hosts write to the same Galera node")
    parser.add_argument("--wait-replicas", type=int, default=1, help="REDIS_WAIT_REPLICAS")
    parser.add_argument("--no-report", action="store_true", help="leave docs/ as it is")
    options = parser.parse_args()
    if options.clean:
        network.remove_all()
        return 0
    refusal = network.find_refusal() or (
        f"the cluster test needs Debian packages: apt-get install {' '.join(missing)}"
        if (missing := list_missing())
        else ""
    )
    if refusal:
        print(f"skipped: {refusal}")
        return 0
    try:
        return run(options)
    except (ClusterError, ServerError, network.NetworkError) as error:
        print(f"failed: {error}")
        return 1


def run(options: argparse.Namespace) -> int:
    began = time.monotonic()
    faults = [fault for fault in list_faults() if re.search(options.only, fault.name)]
    with tempfile.TemporaryDirectory(prefix="longtasks-load-") as name:
        directory = Path(name)
        with Cluster(single_writer=options.single_writer, redis_wait_replicas=options.wait_replicas) as cluster:
            print(f"the cluster stands after {time.monotonic() - began:.0f} s", flush=True)
            load = start_load(cluster, directory)
            try:
                results = [make(cluster, fault, directory) for fault in faults]
            finally:
                stop_load(load, directory)
            settle(cluster)
            verdict = judge(cluster, directory)
            counts = cluster.sql("SELECT COUNT(*), SUM(failures) FROM tasks_app_taskcheckpoint")[0]
    outcome = summarize(verdict, results, options, checkpoints=int(counts[0]), failures=int(counts[1] or 0))
    outcome["seconds"] = round(time.monotonic() - began)
    print(json.dumps({name: value for name, value in outcome.items() if name != "faults"}, indent=1))
    for line in (*verdict.open[:20], *verdict.wrong_rows[:20], *(f"{task_id} lost" for task_id in verdict.lost[:20])):
        print(line)
    if not options.no_report:
        write_report(outcome)
    may_lose = any(fault.may_lose for fault in faults) and not options.wait_replicas
    return 0 if verdict.holds and (may_lose or not verdict.lost) else 1


def start_load(cluster: Cluster, directory: Path) -> subprocess.Popen[bytes]:
    token = json.loads(cluster.manage("token", "create", "load", "--json"))["token"]
    with (directory / "log").open("wb") as log:
        return child_process.spawn(
            command=cluster.network.command(
                LOAD, [sys.executable, "-m", "tests.cluster.load", cluster.balancer.url, str(directory)]
            ),
            environment=process_environment(os.environ) | {child_process.MARK: cluster.mark, "LOAD_TOKEN": token},
            output=log,
            directory=PROJECT_DIR,
        )


def stop_load(load: subprocess.Popen[bytes], directory: Path) -> None:
    """Start no new tasks; the client reads until all have ended, for END_SECONDS at most."""
    (directory / "stop").touch()

    def all_ended() -> bool:
        ended = {entry["id"] for entry in read_lines(directory / "ended.jsonl")}
        return {entry["id"] for entry in read_lines(directory / "accepted.jsonl")} <= ended

    child_process.wait_until(all_ended, deadline_seconds=END_SECONDS, pause_seconds=0.5)
    (directory / "quit").touch()
    child_process.stop(process=load, grace_seconds=15)


def settle(cluster: Cluster) -> None:
    """Wait until the mirrors have written every end; one that cannot is shown with its log, and judged."""
    open_ = "SELECT COUNT(*) FROM tasks_app_taskrecord WHERE status IN ('queued', 'started', 'scheduled')"
    try:
        cluster.wait_for(
            lambda: not cluster.sql(open_)[0][0], what="the mirrors have caught up", seconds=SETTLE_SECONDS
        )
    except ClusterError as error:
        print(error, flush=True)


def make(cluster: Cluster, fault: Fault, directory: Path) -> dict[str, Any]:
    """Make one fault and repair it; return its effect on the client."""
    started_at = time.time()
    with broken(cluster, fault):
        hold(fault.hold_seconds)
    mended_at = time.time()
    cluster.wait_for(cluster.is_whole, what=f"the cluster is whole after: {fault.name}", seconds=WHOLE_SECONDS)
    ended_at = time.time()
    during = [entry for entry in read_lines(directory / "accepted.jsonl") if started_at <= entry["at"] <= mended_at]
    moments = sorted([started_at, mended_at, *(entry["at"] for entry in during)])
    result = {
        "name": fault.name,
        "seconds": round(mended_at - started_at, 1),
        "accepted": len(during),
        "longest_gap_seconds": round(max(b - a for a, b in itertools.pairwise(moments)), 1),
        "retried": sum(entry["tries"] > 1 for entry in during),
        "longest_wait_seconds": round(max((entry["waited"] for entry in during), default=0), 1),
        "whole_after_seconds": round(ended_at - mended_at, 1),
    }
    print(json.dumps(result, ensure_ascii=False), flush=True)
    return result


def summarize(
    verdict: Verdict,
    results: list[dict[str, Any]],
    options: argparse.Namespace,
    *,
    checkpoints: int,
    failures: int,
) -> dict[str, Any]:
    return {
        "holds": verdict.holds,
        "accepted": verdict.accepted,
        "statuses": dict(verdict.statuses),
        "lost": len(verdict.lost),
        "still_open": len(verdict.open),
        "wrong_rows": len(verdict.wrong_rows),
        "answers_lost": verdict.strangers,
        "seen_back": verdict.seen_back,
        "seen_missing": verdict.seen_missing,
        "refused": verdict.refused,
        "checkpoints": checkpoints,
        "failed_attempts": failures,
        "redis_wait_replicas": options.wait_replicas,
        "single_writer": options.single_writer,
        "faults": results,
    }


if __name__ == "__main__":
    sys.exit(main())

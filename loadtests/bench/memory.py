"""Measures Redis's memory for a waiting task that is mirrored, so that only its job remains."""

from typing import Any

from loadtests.bench.context import Bench


def measure(bench: Bench) -> dict[str, Any]:
    runs = []
    tasks = bench.scale.waiting_tasks
    with bench.ground.stack() as stack:
        stack.start_web()
        stack.start_mirror()
        for run in range(bench.scale.runs):
            stack.fill(tasks=1, records=100)  # fills what exists once: scripts, the stream, rates
            with stack.redis() as client:
                before = client.info("memory")["used_memory"]
                stack.fill(tasks=tasks, records=100)
                grown = client.info("memory")["used_memory"] - before
            bench.say(f"Redis memory run {run + 1}: {grown / tasks:.0f} bytes a task")
            runs.append({"tasks": tasks, "bytes_per_task": grown / tasks})
            stack.empty()
    return {"runs": runs}

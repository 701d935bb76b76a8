"""Measures a worker's time by function: tasks run in this process, under Python's profiler.

`python -m loadtests.bench.profiles TASKS RECORDS` does it once, inside Django's settings. The profiler slows down
Python but not C code, so the shares of Python are too high.
"""

import cProfile
import json
import os
import pstats
import sys
from pathlib import Path
from typing import Any

from loadtests.bench.context import Bench

SHOWN = 12
WARM_TASKS = 20


def measure(bench: Bench) -> dict[str, Any]:
    scale = bench.scale
    cases = [("0", scale.profiled_tasks, 1), ("0", 1, scale.profiled_records), ("1", 1, scale.profiled_records)]
    profiles = []
    for bulk_writer, tasks, records in cases:
        with bench.ground.stack(environment={"BULK_WRITER": bulk_writer, "SHARD_RECORDS": "0"}) as stack:
            output = stack.run_inside("loadtests.bench.profiles", str(tasks), str(records))
        bench.say(f"profile of {tasks} tasks of {records}, {'bulk' if bulk_writer == '1' else 'orm'}: done")
        profiles.append(
            {"writer": "bulk" if bulk_writer == "1" else "orm", "tasks": tasks, "records": records}
            | {"functions": json.loads(output)}
        )
    return {"profiles": profiles}


def profile_tasks(*, tasks: int, records: int) -> list[dict[str, Any]]:
    """Return the functions with most time of their own, with their share of the total."""
    fill_queue(tasks=WARM_TASKS, records=1)
    run_tasks()
    fill_queue(tasks=tasks, records=records)
    profiler = cProfile.Profile()
    profiler.enable()
    run_tasks()
    profiler.disable()
    stats: Any = pstats.Stats(profiler)
    functions = sorted(stats.stats.items(), key=lambda item: -item[1][2])[:SHOWN]
    return [
        {"function": function_name(*place), "calls": calls, "share": round(own_seconds / stats.total_tt, 4)}
        for place, (_, calls, own_seconds, _, _) in functions
    ]


def fill_queue(*, tasks: int, records: int) -> None:
    from tasks_app.services.start_tasks import NewTask, start_tasks

    new = NewTask(name="upload", params={"numRecords": records})
    for start in range(0, tasks, 1000):
        start_tasks(tasks=[new] * min(1000, tasks - start))


def run_tasks() -> None:
    """Run the waiting tasks to their end, as a worker would."""
    from tasks_app.engine.interruption import Interruption, WorkerHooks
    from tasks_app.engine.runner import Runner
    from tasks_app.queues import redis_connection, transitions
    from tasks_app.task_types import list_names

    connection = redis_connection.get_connection()
    hooks = WorkerHooks(
        check_interruption=lambda _: Interruption.CONTINUE, should_stop=lambda: False, while_waiting=lambda: None
    )
    runner = Runner(connection=connection, worker="bench", hooks=hooks)
    while True:
        dequeued, _ = transitions.dequeue_tasks(
            connection, worker="bench", types=list_names(), queues=["low"], max_tasks=200, max_records=1000
        )
        if not dequeued:
            return
        runner.run([job for job in dequeued if isinstance(job, transitions.DequeuedTask)])


def function_name(path: str, line: int, name: str) -> str:
    """Return the place of a function in short form: the last two parts of its path."""
    if path == "~":
        return name.strip("<>").partition(" at 0x")[0]
    return f"{'/'.join(Path(path).parts[-2:])}:{line} {name}"


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.development")
    django.setup()
    tasks, records = sys.argv[1:]
    sys.stdout.write(json.dumps(profile_tasks(tasks=int(tasks), records=int(records))))


if __name__ == "__main__":
    main()

"""The number of tasks that a cell of the drain needs to reach its duration. Arithmetic only."""

GUESSED_TASK_SECONDS = 0.001
GUESSED_RECORD_SECONDS = 0.00005


def guess_rate(*, records: int) -> float:
    """Return the expected tasks per second before anything was measured."""
    return 1 / (GUESSED_TASK_SECONDS + GUESSED_RECORD_SECONDS * records)


def cell_tasks(*, rate: float, seconds: float, workers: int, most: int) -> int:
    """Return the tasks that last `seconds` at `rate`, the same number for each worker, so that none waits at the end."""
    per_worker = max(1, round(rate * seconds / workers))
    return min(per_worker * workers, max(most // workers, 1) * workers)

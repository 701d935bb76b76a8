"""How many tasks a cell of the drain needs to last as long as it should. Arithmetic only."""

GUESSED_TASK_SECONDS = 0.001
GUESSED_RECORD_SECONDS = 0.00005


def guess_rate(*, records: int) -> float:
    """Tasks per second to expect before anything was measured."""
    return 1 / (GUESSED_TASK_SECONDS + GUESSED_RECORD_SECONDS * records)


def cell_tasks(*, rate: float, seconds: float, workers: int, most: int) -> int:
    """The tasks that last `seconds` at `rate`, the same number for each worker: at the end none waits for another."""
    per_worker = max(1, round(rate * seconds / workers))
    return min(per_worker * workers, max(most // workers, 1) * workers)

"""Fills the tables with millions of tasks, as after a long run of a busy service. MariaDB only.

Five owners (the first has 40 % of all, the last one in a thousand), nearly all finished, one in a thousand failed;
task types of one task in twenty, of one in a thousand, and of twenty tasks in all. Some combinations of filters match no
task although each of their parts matches many: `purge` is never high nor canceled, the fourth owner has no high task, the
last one no failed task.
"""

from __future__ import annotations

from typing import Final

STEP: Final = 100_000
SECONDS_A_TASK: Final = 0.04  # 25 a second: ten million are 4.6 days

# UUIDv7 in SQL: 48 bits of milliseconds, version, variant; the newest now.
_ID: Final = (
    "INSERT(INSERT(CONCAT(LPAD(HEX(ROUND((@now - ({tasks} - seq) * {seconds}) * 1000)), 12, '0'), '7',"
    " LPAD(HEX(seq MOD 4096), 3, '0'), '8', LPAD(HEX(seq), 15, '0')), 9, 0, '-'), 14, 0, '-')"
)
# The kind of a task, by reproducible random numbers.
_DICE: Final = """
SELECT seq, {id} AS id, FROM_UNIXTIME(@now - ({tasks} - seq) * {seconds}) AS at,
  CRC32(CONCAT('o', seq)) MOD 1000 AS o, CRC32(CONCAT('n', seq)) MOD 1000 AS n,
  CRC32(CONCAT('p', seq)) MOD 100 AS p, CRC32(CONCAT('s', seq)) MOD 100000 AS s
FROM seq_{first}_to_{last}
"""
_KIND: Final = """
SELECT seq, id, at, p, s,
  CASE WHEN o < 400 THEN 'ann' WHEN o < 700 THEN 'ben' WHEN o < 900 THEN 'cem' WHEN o < 999 THEN 'dora' ELSE 'eve' END
    AS owner,
  CASE WHEN seq MOD ({tasks} DIV 20) = 7 THEN 'reindex' WHEN n < 1 THEN 'report' WHEN n < 51 THEN 'purge'
    ELSE 'upload' END AS name
FROM ({dice}) AS dice
"""
_STATUS: Final = """
SELECT *,
  IF(p < 10 AND name != 'purge' AND owner != 'dora', 'high', 'low') AS priority,
  CASE WHEN seq > {tasks} - 10 THEN 'started' WHEN seq > {tasks} - 1000 THEN 'queued'
    WHEN s < 100 AND owner != 'eve' THEN 'failed' WHEN s < 1100 AND name != 'purge' THEN 'canceled'
    WHEN s = 1100 THEN 'scheduled' ELSE 'finished' END AS status
FROM ({kind}) AS kind
"""
_RECORDS: Final = """
INSERT INTO tasks_app_taskrecord (id, name, description, params, owner, request_id, callback_url, created_at, priority,
  status, done, total, counts, attempts, error, worker, epoch, started_at, ended_at, next_attempt_at, cancel_requested,
  updated_at)
SELECT id, name, CONCAT('import of shop ', seq MOD 500000), '{{"numRecords": 100}}', owner, '', '', at, priority,
  status, 100, 100, '{{"users": 100, "products": 100, "order_items": 100}}', 1,
  IF(status = 'failed', REPEAT('Traceback (most recent call last): ', 40), NULL), 'host-1a2b3c4d', 1,
  at + INTERVAL 1 SECOND, IF(status IN ('finished', 'failed', 'canceled'), at + INTERVAL 3 SECOND, NULL), NULL, 0,
  at + INTERVAL 3 SECOND
FROM ({tasks_of}) AS tasks
"""
_CHECKPOINTS: Final = """
INSERT INTO tasks_app_taskcheckpoint (task_id, epoch, done, counts, state, worker, lease_until, failures, claimed_done,
  cancel_requested, outcome, error, started_at, ended_at, shards, parent_id, first, size, updated_at)
SELECT id, 1, 100, '{{"users": 100, "products": 100, "order_items": 100}}', '{{}}', 'host-1a2b3c4d',
  IF(status = 'started', NOW(6) + INTERVAL 1 DAY, NULL), 0, 0, 0, IF(status IN ('started', 'scheduled'), '', status), '',
  at, at, 0, NULL, 0, 0, at + INTERVAL 3 SECOND
FROM ({tasks_of}) AS tasks WHERE status != 'queued'
"""
_EVENTS: Final = """
INSERT INTO tasks_app_taskevent (task_id, status, cause, at, worker, actor, attempt, done, error)
SELECT id, status, 'take', at, 'host-1a2b3c4d', '', 1, 100, NULL FROM ({tasks_of}) AS tasks
"""


def fill(tasks: int, *, with_history: bool = False) -> None:
    """Insert this many task rows, and with `with_history` a checkpoint and an event of each."""
    from django.db import connection

    statements = [_RECORDS, *([_CHECKPOINTS, _EVENTS] if with_history else [])]
    with connection.cursor() as cursor:
        cursor.execute("SET @now = UNIX_TIMESTAMP(NOW(3))")
        for first in range(1, tasks + 1, STEP):
            numbers = {"tasks": tasks, "seconds": SECONDS_A_TASK, "first": first, "last": min(tasks, first + STEP - 1)}
            dice = _DICE.format(id=_ID.format(**numbers), **numbers)
            tasks_of = _STATUS.format(kind=_KIND.format(dice=dice, **numbers), **numbers)
            for statement in statements:
                cursor.execute(statement.format(tasks_of=tasks_of))
        cursor.execute("ANALYZE TABLE tasks_app_taskrecord, tasks_app_taskcheckpoint, tasks_app_taskevent")
        cursor.fetchall()

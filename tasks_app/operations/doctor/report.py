"""The doctor: looks at settings, Redis, database, processes and clocks, and says what is wrong and how to mend it.

Owns the checks. Each returns findings and changes nothing; one that can't look says why. The command prints them.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import DateTimeField, ExpressionWrapper, Value
from django.db.models.functions import Now

from tasks_app.database import charsets, identity_columns
from tasks_app.errors import LongtasksError
from tasks_app.models import TaskCheckpoint
from tasks_app.observability.redaction import hide_secrets
from tasks_app.operations.doctor.findings import FAULT, OK, WARNING, Finding
from tasks_app.operations.doctor.reported_processes import check_processes
from tasks_app.queues import enqueue, parked_tasks, removed_queues
from tasks_app.queues.pipelined_connection import AWAY, describe_refusal
from tasks_app.queues.worker_liveness import list_registered
from tasks_app.read_model import mirror, task_queries
from tasks_app.resilience import set_aside_items
from tasks_app.task_types import list_names, list_task_types

SKEW_SECONDS: Final = 1.0
LAG_SECONDS: Final = 10.0
FULL_SHARE: Final = 0.8
RESERVED_CONNECTIONS: Final = 10  # for people and backups
_VERSIONS: Final = {
    "Django": (5, 2),
    "djangorestframework": (3, 15),
    "django-rq": (4, 0),
    "rq": (3, 0),
    "redis": (8, 0),
}


def examine() -> list[Finding]:
    """Run every check; the worst findings come first."""
    findings: list[Finding] = []
    for check in CHECKS:
        try:
            findings += check()
        except (redis.RedisError, LongtasksError, DatabaseError, InterfaceError) as error:
            subject = check.__name__.removeprefix("check_").replace("_", " ")
            findings.append(
                Finding(FAULT, subject, f"can't be examined: {_one_line(error)}", "See the other findings.")
            )
    order = (FAULT, WARNING, OK)
    return sorted(findings, key=lambda finding: order.index(finding.level))


def _settings_module() -> str:
    """As the environment names it: `settings.SETTINGS_MODULE` is None while a test overrides settings."""
    return os.environ.get("DJANGO_SETTINGS_MODULE", "")


def check_settings() -> Iterator[Finding]:
    longtasks = settings.LONGTASKS
    module = _settings_module()
    found = [f"{module}"]
    if longtasks.lease_seconds < 4 * longtasks.chunk_seconds or longtasks.lease_seconds < 2:
        yield Finding(
            FAULT,
            "settings: lease",
            f"LEASE_SECONDS={longtasks.lease_seconds:g} with CHUNK_SECONDS={longtasks.chunk_seconds:g}: "
            "living workers would be taken for dead",
            "Set LEASE_SECONDS to 2 or more, and to 4 chunks or more (8 with the default of 0.25).",
        )
    if longtasks.rescue_seconds > longtasks.lease_seconds:
        yield Finding(
            WARNING,
            "settings: rescue",
            f"RESCUE_SECONDS={longtasks.rescue_seconds:g} is longer than LEASE_SECONDS={longtasks.lease_seconds:g}",
            "Set it to 2, or accept that tasks of dead workers wait longer.",
        )
    if longtasks.crash_points:
        yield Finding(FAULT, "settings: crash points", f"CRASH_POINTS={longtasks.crash_points}", "Unset it.")
    if longtasks.pause_ms:
        yield Finding(WARNING, "settings: pause", f"PAUSE_MS={longtasks.pause_ms} slows every task", "Unset it.")
    if settings.DEBUG and module.endswith("production"):
        yield Finding(FAULT, "settings: debug", "DEBUG is on in production", "Unset DEBUG.")
    yield Finding(OK, "settings", ", ".join(found))


def check_versions() -> Iterator[Finding]:
    for name, wanted in _VERSIONS.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            yield Finding(FAULT, "versions", f"{name} is not installed", "pip install -r requirements.txt")
            continue
        if tuple(int(part) for part in found.split(".")[:2]) < wanted:
            needed = ".".join(map(str, wanted))
            yield Finding(
                FAULT, "versions", f"{name} {found}: {needed} or newer is needed", "pip install -r requirements.txt"
            )
    yield Finding(OK, "versions", f"Python {sys.version.split()[0]}, Django {version('Django')}, rq {version('rq')}")


# What to do about Redis's reasons to refuse; others are named as they are.
_REFUSALS: Final = {
    "OOM": "It has reached its maxmemory: raise it (CONFIG SET maxmemory, and redis.conf). Workers go on meanwhile.",
    "BUSY": "A script runs without end: SCRIPT KILL, or SHUTDOWN NOSAVE where it has written.",
    "MISCONF": "It can't write to its disk: make room there, and read its log.",
    "LOADING": "It reads its data after a start: wait.",
    "READONLY": "Point REDIS_URL at the primary.",
    "NOREPLICAS": "Start its replicas, or lower min-replicas-to-write.",
    "MASTERDOWN": "This is a replica that has lost its primary: point REDIS_URL at the primary.",
    "NOAUTH": "Put the password into REDIS_URL.",
    "WRONGPASS": "Put the new password into REDIS_URL, and restart.",
    "NOPERM": "Give the user of REDIS_URL the commands and keys that are missing (ACL SETUSER).",
    "ERR": "Raise its maxclients, or find out who holds so many connections (CLIENT LIST).",
}


def check_redis() -> Iterator[Finding]:
    client = enqueue.get_connection()
    try:
        enqueue.check_writes(client, room=True)
    except AWAY as error:
        word = describe_refusal(error)
        if isinstance(error, (redis.ConnectionError, redis.TimeoutError)) and word not in _REFUSALS:
            raise  # it does not answer at all
        mend = _REFUSALS.get(word, "Read Redis's log.")
        yield Finding(FAULT, "redis: refuses writes", f"{word}: {_one_line(error)}", mend)
        if word != "OOM":
            return  # what it is asked next it refuses as well
    info: Any = client.info()
    name = "Valkey" if info.get("server_name") == "valkey" or "valkey_version" in info else "Redis"
    number = info.get("valkey_version") or info["redis_version"]
    if tuple(int(part) for part in info["redis_version"].split(".")[:2]) < (6, 2):
        yield Finding(FAULT, "redis: version", f"{name} {number}", "Use Redis 6.2 or newer (or Valkey).")
    if info.get("role") != "master":
        yield Finding(FAULT, "redis: role", f"it is a {info.get('role')}", "Point REDIS_URL at the primary.")
    if not int(info.get("aof_enabled", 0)):
        yield Finding(
            FAULT,
            "redis: appendonly",
            "appendonly is off: accepted tasks are lost with the process",
            "CONFIG SET appendonly yes, and the same in redis.conf (deploy/redis.conf).",
        )
    elif info.get("aof_last_write_status", "ok") != "ok":
        yield Finding(
            FAULT, "redis: disk", "its last write to the append-only file failed", "Look at its disk and log."
        )
    yield from _check_redis_config(client)
    yield Finding(OK, "redis", f"{name} {number}")


def _check_redis_config(client: redis.Redis[Any]) -> Iterator[Finding]:
    try:
        config: Any = client.config_get("*")
    except redis.ResponseError:
        yield Finding(
            WARNING, "redis: config", "CONFIG is not allowed here", "Compare with deploy/redis.conf yourself."
        )
        return
    if config.get("appendfsync") != "always":
        yield Finding(
            FAULT,
            "redis: appendfsync",
            f"appendfsync is {config.get('appendfsync')}: a power cut loses what was accepted since",
            "CONFIG SET appendfsync always, and the same in redis.conf.",
        )
    policy = config.get("maxmemory-policy")
    if policy != "noeviction":
        yield Finding(
            FAULT,
            "redis: eviction",
            f"maxmemory-policy is {policy}: Redis may throw tasks away when its memory is full",
            "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf.",
        )
    packed = config.get("hash-max-listpack-value") or config.get("hash-max-ziplist-value") or "512"
    if int(packed) < 512:
        yield Finding(
            WARNING,
            "redis: hashes",
            f"hash-max-listpack-value is {packed}: a waiting task takes about twice the memory",
            "CONFIG SET hash-max-listpack-value 512, and the same in redis.conf.",
        )


def check_database() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA synchronous")
            if cursor.fetchone()[0] < 2:
                yield Finding(FAULT, "database: durability", "synchronous is not FULL", "Keep settings/database.py's.")
            if _settings_module().endswith("production"):
                yield Finding(
                    WARNING, "database", "SQLite in production: one writer at a time", "Set DATABASE_URL to a MySQL."
                )
            cursor.execute("SELECT sqlite_version()")
            yield Finding(OK, "database", f"SQLite {cursor.fetchone()[0]}")
            return
        yield from _check_mysql(cursor)


def _check_mysql(cursor: Any) -> Iterator[Finding]:
    cursor.execute(
        "SELECT @@version, @@session.time_zone, @@session.sql_mode, @@global.innodb_flush_log_at_trx_commit,"
        " @@global.max_connections, @@global.read_only, @@global.local_infile"
    )
    number, time_zone, sql_mode, flush, connections, read_only, local_infile = cursor.fetchone()
    isolation_name = "tx_isolation" if "MariaDB" in number else "transaction_isolation"
    cursor.execute(f"SELECT @@session.{isolation_name}")
    isolation = str(cursor.fetchone()[0])
    if isolation.upper() != "READ-COMMITTED":
        yield Finding(
            FAULT,
            "database: isolation",
            f"{isolation}: gap locks make workers wait for each other, and fenced workers see old rows",
            "Take isolation_level out of DATABASE_URL; settings/database.py asks for read committed.",
        )
    if time_zone not in ("+00:00", "UTC"):
        yield Finding(
            FAULT,
            "database: time zone",
            f"the session's time_zone is {time_zone}: leases and times would be off",
            "Take init_command out of DATABASE_URL; settings/database.py sets '+00:00'.",
        )
    if "STRICT" not in sql_mode.upper():
        yield Finding(
            FAULT,
            "database: sql_mode",
            f"not strict ({sql_mode or 'empty'}): values that do not fit are cut silently",
            "Set sql_mode=STRICT_TRANS_TABLES (deploy/mariadb.cnf).",
        )
    if int(flush) != 1:
        yield Finding(
            FAULT,
            "database: durability",
            f"innodb_flush_log_at_trx_commit is {flush}: a power cut loses committed chunks",
            "SET GLOBAL innodb_flush_log_at_trx_commit = 1, and the same in deploy/mariadb.cnf.",
        )
    if settings.LONGTASKS.bulk_writer and not int(local_infile):
        yield Finding(
            WARNING,
            "database: bulk writer",
            "BULK_WRITER=1 has no effect, local_infile is off: rows are written more slowly by the ORM",
            "SET GLOBAL local_infile = 1, and the same in deploy/mariadb.cnf; or unset BULK_WRITER.",
        )
    yield from _check_charsets()
    if int(read_only):
        yield Finding(FAULT, "database: read only", "it refuses writes", "Point DATABASE_URL at the primary.")
    yield from _check_connections(int(connections))
    yield Finding(OK, "database", f"{number}, {isolation}, {time_zone}")


def _check_charsets() -> Iterator[Finding]:
    charset = charsets.get_narrow_default()
    if charset:
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        yield Finding(
            FAULT,
            "database: charset",
            f"the default of new tables is {charset}: they will not hold every text",
            f"ALTER DATABASE {name} CHARACTER SET {charsets.WANTED};",
        )
    narrow = charsets.list_narrow_tables()
    for each in narrow:
        yield Finding(
            FAULT,
            f"database: charset of {each.table}",
            f"{each.charset} ({', '.join(each.columns)}): tasks with other letters are set aside",
            f"When writers may wait (it copies the table): {each.statement}",
        )
    for loose in identity_columns.list_loose_tables():
        if loose.table in {each.table for each in narrow}:
            continue  # the statement above mends that too
        yield Finding(
            FAULT,
            f"database: collation of {loose.table}",
            f"{', '.join(loose.collations)} ({', '.join(loose.columns)}): 'ana' and 'Ana' are one and see each other's tasks",
            f"When writers may wait: {loose.statement}",
        )


def _check_connections(allowed: int) -> Iterator[Finding]:
    needed = settings.WEB_WORKERS * (settings.WEB_THREADS + 2) + 2 * settings.WORKERS + 2 + RESERVED_CONNECTIONS
    if allowed < needed:
        yield Finding(
            FAULT,
            "database: connections",
            f"max_connections is {allowed}; this machine's processes alone may want {needed}",
            f"Set max_connections to {needed} or more (deploy/mariadb.cnf), or WEB_WORKERS and WORKERS lower.",
        )


def check_migrations() -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in plan[:3])
        yield Finding(FAULT, "migrations", f"{len(plan)} not applied: {names}", "python manage.py migrate")
    else:
        yield Finding(OK, "migrations", "all applied")


def check_clocks() -> Iterator[Finding]:
    seconds, microseconds = enqueue.get_connection().time()
    skews = {"Redis": seconds + microseconds / 1e6 - time.time()}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) AS DECIMAL(20, 6))"
            if connection.vendor == "mysql"
            else "SELECT (julianday('now') - 2440587.5) * 86400"
        )
        skews["the database"] = float(cursor.fetchone()[0]) - time.time()
    for name, skew in skews.items():
        if abs(skew) > SKEW_SECONDS:
            yield Finding(
                FAULT,
                "clocks",
                f"{name}'s clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} this machine's",
                "Run NTP (chrony) on every machine.",
            )
    for worker in list_registered(enqueue.get_connection()):
        if abs(worker.skew_seconds) > SKEW_SECONDS:
            direction = "ahead of" if worker.skew_seconds > 0 else "behind"
            yield Finding(
                WARNING,
                "clocks: worker",
                f"the clock of {worker.name}'s machine is {abs(worker.skew_seconds):.1f} s {direction} Redis's",
                "Run NTP (chrony) there. Tasks are timed by Redis's clock meanwhile; the machine's logs are not.",
            )
    yield Finding(OK, "clocks", ", ".join(f"{name} {skew:+.3f} s" for name, skew in skews.items()))


def check_workers() -> Iterator[Finding]:
    client = enqueue.get_connection()
    now = datetime.fromtimestamp(client.time()[0], tz=UTC)  # by whose clock workers give their signs of life
    foreign = {worker.name: worker for worker in list_registered(client) if not worker.is_ours}
    for worker in foreign.values():
        if served := set(worker.queues) & set(enqueue.QUEUES):
            yield Finding(
                FAULT,
                "workers: foreign",
                f"{worker.name} serves {', '.join(sorted(served))} and is no worker of this project: it fails our tasks",
                "Stop it (`rq worker`?), or give it other queues. Rescue enqueues again what it has failed.",
            )
    left_ms: Any = client.pttl(enqueue.SUSPENDED_KEY)
    if left_ms != -2:  # Redis's answer for a key that does not exist
        until = f"for another {left_ms / 1000:.0f} s" if left_ms >= 0 else "until `rq resume`"
        yield Finding(
            WARNING,
            "queues: suspended",
            f"`rq suspend` pauses all queues {until}: workers take nothing",
            "python manage.py rqresume",
        )
    for view in task_queries.list_queues():
        ours = [worker for worker in view.workers if worker.name not in foreign]
        alive = [
            worker
            for worker in ours
            if worker.beaten_at and (now - worker.beaten_at).total_seconds() < settings.LONGTASKS.lease_seconds
        ]
        silent = len(ours) - len(alive)
        if not alive:
            yield Finding(
                FAULT,
                f"workers: {view.name}",
                f"no living worker serves {view.name} ({view.depth} tasks wait)",
                "Start some: python manage.py workers 2",
            )
        elif silent:
            yield Finding(WARNING, f"workers: {view.name}", f"{silent} fell silent", "They vanish within a minute.")
        if view.paused_at is not None:
            yield Finding(
                WARNING,
                f"queue: {view.name}",
                f"paused by {view.paused_by or '?'} since {view.paused_at:%Y-%m-%d %H:%M} UTC: {view.reason or '-'}",
                f"python manage.py queue resume {view.name}",
            )
        bound = enqueue.get_bounds()[view.name]
        if view.depth > FULL_SHARE * bound:
            yield Finding(
                WARNING,
                f"queue: {view.name}",
                f"{view.depth} of {bound} tasks wait: requests will get 503",
                "Start more workers, or raise QUEUE_BOUND if Redis has the memory.",
            )
        if alive:
            yield Finding(OK, f"workers: {view.name}", f"{len(alive)} alive, {view.depth} tasks wait")


def check_served_types() -> Iterator[Finding]:
    """Find types whose queue has workers, none of which serves the type. A worker that names no types may serve all."""
    workers = [worker for worker in list_registered(enqueue.get_connection()) if worker.is_ours]
    for task_type in list_task_types():
        types = [worker.types for worker in workers if task_type.queue in worker.queues]
        if types and not any(not served or task_type.name in served for served in types):
            yield Finding(
                FAULT,
                f"workers: type {task_type.name}",
                f"no living worker of queue {task_type.queue} serves the task type {task_type.name!r}",
                f"Start some: python manage.py workers 1 --queues {task_type.queue} --types {task_type.name}",
            )


def check_removed_queues() -> Iterator[Finding]:
    for name, tasks in removed_queues.count_tasks(enqueue.get_connection()).items():
        yield Finding(
            WARNING,
            f"queue: {name}",
            f"{tasks} tasks are in the queue {name}, which QUEUES does not name",
            "The mirror moves those that wait to the queues of their types. Where tasks keep coming, restart the "
            "processes that still have the older QUEUES.",
        )


def check_task_types() -> Iterator[Finding]:
    client = enqueue.get_connection()
    known = parked_tasks.list_known_types(client)
    waiting: dict[str, list[parked_tasks.Parked]] = {}
    for each in parked_tasks.list_parked(client):
        waiting.setdefault(each.type_name, []).append(each)
    for name, places in sorted(waiting.items()):
        tasks, seconds = sum(place.tasks for place in places), max(place.oldest_seconds for place in places)
        if name in known:
            yield Finding(OK, "task types", f"{tasks} tasks of type {name!r} wait for a worker that knows it")
        else:
            yield Finding(
                FAULT if seconds >= parked_tasks.TELL_SECONDS else WARNING,
                "task types",
                f"no living worker knows the task type {name!r}: {tasks} tasks wait, the first for {seconds:.0f} s",
                "Start workers of a version that has it (finish the deploy), or cancel the tasks.",
            )
    # A worker of an older version does not say what it knows; without workers another check says so.
    if known and (missing := [name for name in list_names() if name not in known and name not in waiting]):
        yield Finding(
            WARNING,
            "task types",
            f"no living worker knows {', '.join(map(repr, missing))}: such tasks are accepted here and would wait",
            "Replace the old workers (python manage.py reload), or start workers that serve these types.",
        )
    elif not waiting:
        found = "the workers know all types of this version" if known else "no worker says which ones it knows"
        yield Finding(OK, "task types", found)


def check_mirror() -> Iterator[Finding]:
    lag_seconds = mirror.get_lag_seconds(enqueue.get_connection())
    if lag_seconds > LAG_SECONDS:
        yield Finding(
            FAULT,
            "mirror",
            f"it is {lag_seconds:.0f} s behind: lists and the admin show old states, and nothing is rescued",
            "Start it: python manage.py mirror. If it runs, its log says what it waits for.",
        )
    else:
        yield Finding(OK, "mirror", f"{lag_seconds:.1f} s behind")
    patience = Value(timedelta(seconds=settings.LONGTASKS.rescue_seconds + 5))
    long_ago = ExpressionWrapper(Now() - patience, output_field=DateTimeField())
    overdue = TaskCheckpoint.objects.filter(outcome="", lease_until__lt=long_ago).count()
    if overdue:
        yield Finding(
            FAULT,
            "rescue",
            f"{overdue} tasks of dead workers wait to be put back",
            "The mirror process rescues them: see that it runs, and read its log.",
        )


def check_set_aside() -> Iterator[Finding]:
    counts = {kind: number for kind, number in set_aside_items.count_by_kind().items() if number}
    if counts:
        yield Finding(
            FAULT,
            "set aside",
            ", ".join(f"{number} of kind {kind}" for kind, number in counts.items())
            + ": what could not be processed waits for an operator",
            "python manage.py set_aside list, then set_aside retry ID or set_aside drop ID (docs/operations.md).",
        )
    else:
        yield Finding(OK, "set aside", "nothing")


CHECKS: Final[tuple[Callable[[], Iterator[Finding]], ...]] = (
    check_settings,
    check_versions,
    check_redis,
    check_database,
    check_migrations,
    check_clocks,
    check_workers,
    check_served_types,
    check_removed_queues,
    check_task_types,
    check_mirror,
    check_set_aside,
    check_processes,
)


def _one_line(error: BaseException) -> str:
    return hide_secrets(" ".join(str(error).split()) or type(error).__name__)

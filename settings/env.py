"""The one place that reads environment variables: names, types, defaults, bounds and meanings.

Must not build Django settings (base.py does that): this module only converts text into validated, typed values.
An invalid value stops the start with one line that names the variable, the value and what is accepted.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from settings.addresses import check_bind, check_origins, check_prefix, check_proxies
from settings.cores import count_cores
from settings.env_file import RefusedFile, read_env_file
from settings.queues import HIGH, LOW, check_queues
from settings.values import parse_value, type_name
from settings.variable_names import find_near_miss, find_strange_in_file

ROOT = Path(__file__).resolve().parent.parent
DEVELOPMENT_SECRET_KEY = "only-for-development-and-refused-in-production"  # noqa: S105 (production refuses it)


def variable(
    default: Any,
    meaning: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    schemes: tuple[str, ...] = (),
    check: Callable[[str], Any] | None = None,
) -> Any:
    """Declare a dataclass field that is read from the environment variable of the same name in upper case.

    `check` converts the text to the value; it raises ValueError with a description of what is accepted.
    """
    metadata = {
        "meaning": meaning,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "schemes": schemes,
        "check": check,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Longtasks:
    """The settings that tasks_app and catalog read as `settings.LONGTASKS`."""

    redis_url: str = variable(
        "",
        "Redis to use; empty: the embedded Valkey in DATA_DIR",
        schemes=("redis", "rediss", "unix"),
    )
    redis_sentinels: tuple[str, ...] = variable(
        (),
        "Sentinels to ask for the primary, comma-separated host:port; REDIS_URL then sets user, password, TLS and database",
    )
    redis_master_name: str = variable("mymaster", "name of the primary in the Sentinels' configuration")
    redis_sentinel_username: str = variable("", "username for the Sentinel nodes")
    redis_sentinel_password: str = variable("", "password for the Sentinel nodes")
    redis_wait_replicas: int = variable(
        0,
        "Redis replicas that must acknowledge a task before its 201 is sent, so that a failover loses no task",
        minimum=0,
    )
    lease_seconds: float = variable(
        6.0, "seconds until a worker's claim on a task expires, unless the worker renews it", minimum=0.1
    )
    chunk_seconds: float = variable(0.25, "target duration of a chunk in seconds", minimum=0.01, maximum=60)
    rescue_seconds: float = variable(2.0, "seconds between two rescue rounds", minimum=0.05)
    mirror_batch: int = variable(2000, "snapshots per transaction of the mirror, at most", minimum=1)
    batch_tasks: int = variable(200, "small tasks in one batch, at most", minimum=1)
    batch_records: int = variable(1000, "records in one batch of small tasks, at most", minimum=1)
    shard_records: int = variable(
        100_000,
        "records per shard: a task with more records is split, so that several workers share it; 0: never split",
        minimum=0,
    )
    queues: tuple[str, ...] = variable(
        (HIGH, LOW),
        "queues, most urgent first, comma-separated: high first, low, and others that task types name, as high,low,imports",
        check=check_queues,
    )
    low_share: float = variable(
        0.1,
        "minimum share of a worker's time for each queue while more urgent queues are busy",
        minimum=0,
        maximum=1,
    )
    retry_attempts: int = variable(5, "attempts before a task fails", minimum=1)
    retry_first_seconds: float = variable(
        1.0, "pause before the second attempt, in seconds; doubles after each attempt, with jitter", minimum=0
    )
    retry_max_seconds: float = variable(300.0, "longest pause between attempts, in seconds", minimum=0)
    job_timeout_seconds: int = variable(60, "timeout of a chunk in seconds, unless its task type sets one", minimum=1)
    result_ttl_seconds: int = variable(300, "seconds that Redis keeps a finished job", minimum=0)
    failure_ttl_seconds: int = variable(86400, "seconds that Redis keeps a failed job", minimum=0)
    queue_bound: int = variable(
        1_000_000, "waiting tasks per queue, at most; at the limit, new tasks get 503", minimum=1
    )
    queue_reserve: float = variable(
        0.1, "share of QUEUE_BOUND that is reserved for the queue high", minimum=0, maximum=1
    )
    redis_timeout_seconds: float = variable(1.5, "timeout of a Redis call in web, in seconds", minimum=0.05)
    rate_limit_per_minute: int = variable(
        0, "requests per minute and token, at most; beyond that, 429; 0: unlimited", minimum=0
    )
    rate_limit_per_address: int = variable(
        60,
        "logins and requests without a valid token per minute and address, at most; beyond that, 429; 0: unlimited",
        minimum=0,
    )
    metrics_open: bool = variable(False, "serve /metrics without a token, for scrapers inside the network")
    webhook_secret: str = variable("", "key that signs webhooks, 32 characters or more; empty: callbackUrl is refused")
    webhook_allow_private: bool = variable(
        False, "allow callbackUrl to name hosts on private networks and this machine"
    )
    webhook_ports: tuple[int, ...] = variable(
        (80, 443),
        "ports that callbackUrl may name, comma-separated; WEBHOOK_ALLOW_PRIVATE allows every port",
        minimum=1,
        maximum=65535,
    )
    webhook_timeout_seconds: float = variable(
        10.0, "timeout of a webhook delivery in seconds, answer included", minimum=0.1
    )
    webhook_attempts: int = variable(10, "delivery attempts before a webhook is given up", minimum=1)
    webhook_first_seconds: float = variable(
        5.0, "pause before the second delivery attempt, in seconds; doubles after each attempt, with jitter", minimum=0
    )
    webhook_max_seconds: float = variable(3600.0, "longest pause between delivery attempts, in seconds", minimum=0)
    ready_lag_seconds: float = variable(
        60.0, "lag of the mirror in seconds at which /health/ready answers 503", minimum=1
    )
    prune_after_days: float = variable(30.0, "days after which the scheduled prune deletes an ended task", minimum=0)
    tracing: bool = variable(
        False, "send OpenTelemetry spans to the endpoint that the OTEL_… variables name; needs requirements-tracing.txt"
    )
    pause_ms: int = variable(0, "artificial pause after every chunk, in milliseconds", minimum=0)
    bulk_writer: bool = variable(False, "write with LOAD DATA LOCAL INFILE instead of the ORM (MySQL/MariaDB only)")
    crash_points: str = variable(
        "", "tests only: name=N kills the process when it reaches that failpoint for the Nth time"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The settings of the processes, which base.py and the web server's configuration read."""

    debug: bool = variable(False, "show Django's error pages; refused in production")
    secret_key: str = variable(
        DEVELOPMENT_SECRET_KEY, "key that signs sessions; production requires its own, 50 characters or more"
    )
    allowed_hosts: tuple[str, ...] = variable(
        (), "host names that web serves, comma-separated; development always serves localhost"
    )
    database_url: str = variable(
        "",
        "mysql://user:password@host:3306/name, or host:3306,host2:3306; ?unix_socket=/path; empty: SQLite in DATA_DIR",
        schemes=("mysql", "mariadb", "sqlite"),
    )
    database_password: str = variable(
        "", "password for DATABASE_URL and DATABASE_READ_URL if they contain none; not percent-encoded"
    )
    database_read_url: str = variable(
        "", "a read replica, which may lag, for lists and ended tasks; empty: none", schemes=("mysql", "mariadb")
    )
    data_dir: Path = variable(
        Path(".data"), "directory of the embedded SQLite and Valkey, relative to the project root"
    )
    log_level: str = variable("INFO", "minimum log level", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    log_format: str = variable(
        "AUTO", "JSON, TEXT, or AUTO: JSON in production, TEXT elsewhere", choices=("AUTO", "JSON", "TEXT")
    )
    bind: str = variable(
        "127.0.0.1",
        "address that web listens on; 0.0.0.0 or :: for every network; unix:/directory: web.sock and stream.sock in it",
        check=check_bind,
    )
    port: int = variable(3000, "port that web listens on", minimum=1, maximum=65535)
    api_open: str = variable(
        "AUTO",
        "1: requests need no token; refused in production; AUTO: 1 in development on loopback",
        choices=("AUTO", "1", "0"),
    )
    stream_port: int = variable(3001, "port of the live stream, on the address of BIND", minimum=1, maximum=65535)
    web_server: str = variable(
        "GUNICORN", "HTTP server of web; GRANIAN needs requirements-granian.txt", choices=("GUNICORN", "GRANIAN")
    )
    web_workers: int = variable(0, "web processes; 0: one per core", minimum=0, maximum=256)
    web_threads: int = variable(4, "threads per web process", minimum=1, maximum=256)
    workers: int = variable(0, "worker processes that run tasks; 0: one per core", minimum=0, maximum=1024)
    https_only: bool = variable(True, "production only: redirect to https, and send cookies over https only")
    forwarded_allow_ips: str = variable(
        "127.0.0.1,::1",
        "proxies whose X-Forwarded-Proto and X-Forwarded-For are trusted: addresses and networks such as 10.0.0.0/8, "
        "comma-separated; *: every peer; peers on a unix socket are always trusted",
        check=check_proxies,
    )
    csrf_trusted_origins: tuple[str, ...] = variable(
        (),
        "origins that may send forms, comma-separated, such as https://tasks.example.com:8443; needed if a proxy "
        "changes the Host header",
        check=check_origins,
    )
    script_name: str = variable(
        "",
        "path prefix under which a proxy serves this service, such as /longtasks; empty: the root",
        check=check_prefix,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One row of the table of variables in README.md and .env.example."""

    name: str
    type: str
    default: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """All variables, validated."""

    longtasks: Longtasks
    process: Process


def load(*, environment: Mapping[str, str] | None = None) -> Loaded:
    """Read the environment and the file ENV_FILE (default `.env` in the project root); the environment wins."""
    if environment is None:
        environment = _read_file(os.environ.get("ENV_FILE")) | os.environ
    if strange := find_near_miss(environment, known=KNOWN):
        raise ImproperlyConfigured(strange)
    process = Process(**_values(Process, environment))
    cores = count_cores()
    return Loaded(
        longtasks=Longtasks(**_values(Longtasks, environment)),
        process=dataclasses.replace(
            process, web_workers=process.web_workers or cores, workers=process.workers or cores
        ),
    )


def _read_file(name: str | None) -> dict[str, str]:
    """Return the file's variables. Variables of other programs are copied into os.environ."""
    path = ROOT / (".env" if name is None else name)
    if name == "" or (name is None and not path.exists()):
        return {}
    try:
        variables = read_env_file(path)
    except RefusedFile as refusal:
        raise ImproperlyConfigured(str(refusal)) from None
    if strange := find_strange_in_file(variables, known=KNOWN, path=path):
        raise ImproperlyConfigured(strange)
    for each in variables.keys() - KNOWN:
        os.environ.setdefault(each, variables[each])
    return variables


def list_variables() -> list[Variable]:
    """Return all variables, in the order of the dataclasses."""
    return [
        Variable(
            name=field.name.upper(),
            type=type_name(field),
            default=_as_text(field.default),
            meaning=field.metadata["meaning"],
        )
        for field in (*dataclasses.fields(Process), *dataclasses.fields(Longtasks))
    ]


def _values(owner: type[Longtasks] | type[Process], environment: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for field in dataclasses.fields(owner):
        text = environment.get(field.name.upper())
        if text is None:
            continue
        if not text.strip().isprintable():
            raise ImproperlyConfigured(f"{field.name.upper()} is refused: it contains non-printable characters.")
        values[field.name] = parse_value(field, text.strip())
    return values


def _as_text(default: Any) -> str:
    if isinstance(default, bool):
        return "1" if default else "0"
    if isinstance(default, float):
        return f"{default:g}"
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return str(default)


KNOWN = frozenset(each.name for each in list_variables())

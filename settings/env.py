"""The one place that reads environment variables: names, types, defaults, bounds and meanings.

Must not build Django settings (base.py does); it only turns text into checked, typed values.
A wrong value ends the start with one line that names the variable, the value and what is accepted.
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
    """A dataclass field that is filled from the environment variable of its name in upper case.

    `check` returns the value of a text, or raises ValueError with what is accepted.
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
    """What tasks_app and catalog read as `settings.LONGTASKS`."""

    redis_url: str = variable(
        "",
        "Redis to use; empty: the embedded Valkey in DATA_DIR",
        schemes=("redis", "rediss", "unix"),
    )
    redis_sentinels: tuple[str, ...] = variable(
        (), "Sentinels that know the primary, host:port by comma; REDIS_URL then gives user, password, TLS, database"
    )
    redis_master_name: str = variable("mymaster", "what the Sentinels call the primary")
    redis_sentinel_username: str = variable("", "of the Sentinels themselves")
    redis_sentinel_password: str = variable("", "of the Sentinels themselves")
    redis_wait_replicas: int = variable(
        0, "Redis replicas that must hold a task before its 201, so that a failover loses none", minimum=0
    )
    lease_seconds: float = variable(6.0, "how long a claim lives that its worker does not renew", minimum=0.1)
    chunk_seconds: float = variable(0.25, "the duration a chunk aims at", minimum=0.01, maximum=60)
    rescue_seconds: float = variable(2.0, "pause between two rescues", minimum=0.05)
    mirror_batch: int = variable(2000, "snapshots per mirror transaction", minimum=1)
    batch_tasks: int = variable(200, "small tasks that may share a chunk", minimum=1)
    batch_records: int = variable(1000, "records that a shared chunk holds at most", minimum=1)
    shard_records: int = variable(
        100_000, "a task of more records is split into shards of so many, for several workers; 0: never", minimum=0
    )
    queues: tuple[str, ...] = variable(
        (HIGH, LOW),
        "queues, most urgent first, comma-separated: high first, low, and others that task types name, as high,low,imports",
        check=check_queues,
    )
    low_share: float = variable(
        0.1,
        "share of a worker's time kept for each queue while more urgent ones never end",
        minimum=0,
        maximum=1,
    )
    retry_attempts: int = variable(5, "attempts before a task is failed", minimum=1)
    retry_first_seconds: float = variable(1.0, "first pause between attempts; doubles, with jitter", minimum=0)
    retry_max_seconds: float = variable(300.0, "longest pause between attempts", minimum=0)
    job_timeout_seconds: int = variable(60, "longest time of a chunk, where its task type sets none", minimum=1)
    result_ttl_seconds: int = variable(300, "how long Redis keeps an ended job", minimum=0)
    failure_ttl_seconds: int = variable(86400, "how long Redis keeps a failed job", minimum=0)
    queue_bound: int = variable(1_000_000, "waiting tasks per queue before requests get 503", minimum=1)
    queue_reserve: float = variable(0.1, "part of the bound that only high may use", minimum=0, maximum=1)
    redis_timeout_seconds: float = variable(1.5, "a Redis call of web gives up after this", minimum=0.05)
    rate_limit_per_minute: int = variable(0, "requests of one token in a minute before it gets 429; 0: any", minimum=0)
    rate_limit_per_address: int = variable(
        60,
        "requests without a valid token, and logins, of one address in a minute before it gets 429; 0: any",
        minimum=0,
    )
    metrics_open: bool = variable(False, "answer /metrics without a token, for scrapers inside the network")
    webhook_secret: str = variable("", "signs webhooks; 32 characters or more; empty: callbackUrl is refused")
    webhook_allow_private: bool = variable(False, "let callbackUrl name hosts on private networks and this machine")
    webhook_ports: tuple[int, ...] = variable(
        (80, 443),
        "ports that callbackUrl may name, by comma; with WEBHOOK_ALLOW_PRIVATE any",
        minimum=1,
        maximum=65535,
    )
    webhook_timeout_seconds: float = variable(10.0, "a webhook's receiver must have answered by then", minimum=0.1)
    webhook_attempts: int = variable(10, "deliveries tried of a webhook before it is given up", minimum=1)
    webhook_first_seconds: float = variable(5.0, "first pause between two tries; doubles, with jitter", minimum=0)
    webhook_max_seconds: float = variable(3600.0, "longest pause between two tries of a webhook", minimum=0)
    ready_lag_seconds: float = variable(60.0, "/health/ready says no when the mirror is further behind", minimum=1)
    prune_after_days: float = variable(30.0, "age at which the scheduled prune deletes ended tasks", minimum=0)
    tracing: bool = variable(
        False, "send OpenTelemetry spans; OTEL_… variables say where; see requirements-tracing.txt"
    )
    pause_ms: int = variable(0, "artificial pause after every chunk", minimum=0)
    bulk_writer: bool = variable(False, "write with LOAD DATA LOCAL INFILE instead of the ORM (MySQL/MariaDB only)")
    crash_points: str = variable("", "tests only: name=N kills the process at the Nth passing of that point")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """How the processes run: what base.py and longtasks/gunicorn.py read."""

    debug: bool = variable(False, "Django's error pages; refused in production")
    secret_key: str = variable(
        DEVELOPMENT_SECRET_KEY, "signs sessions; production wants 50 characters or more of its own"
    )
    allowed_hosts: tuple[str, ...] = variable(
        (), "host names to answer for, by comma; development answers for localhost by itself"
    )
    database_url: str = variable(
        "",
        "mysql://user:password@host:3306/name, or host:3306,host2:3306; ?unix_socket=/path; empty: SQLite in DATA_DIR",
        schemes=("mysql", "mariadb", "sqlite"),
    )
    database_password: str = variable(
        "", "password of DATABASE_URL and DATABASE_READ_URL where they hold none; as it is, not percent-encoded"
    )
    database_read_url: str = variable(
        "", "a replica of it, which may lag, for lists and ended tasks; empty: none", schemes=("mysql", "mariadb")
    )
    data_dir: Path = variable(Path(".data"), "where the embedded SQLite and Valkey live; relative to the project root")
    log_level: str = variable("INFO", "the least serious message to log", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    log_format: str = variable(
        "AUTO", "JSON, TEXT, or AUTO: JSON in production, TEXT elsewhere", choices=("AUTO", "JSON", "TEXT")
    )
    bind: str = variable(
        "127.0.0.1",
        "address that web listens on; 0.0.0.0 or :: for every network; unix:/directory for web.sock and stream.sock in it",
        check=check_bind,
    )
    port: int = variable(3000, "port that web listens on", minimum=1, maximum=65535)
    api_open: str = variable(
        "AUTO",
        "1: anyone may call; refused in production; AUTO: in development on loopback",
        choices=("AUTO", "1", "0"),
    )
    stream_port: int = variable(3001, "port of the live stream, on the same address", minimum=1, maximum=65535)
    web_server: str = variable(
        "GUNICORN", "server of web; GRANIAN wants requirements-granian.txt", choices=("GUNICORN", "GRANIAN")
    )
    web_workers: int = variable(0, "processes of web; 0: one per core", minimum=0, maximum=256)
    web_threads: int = variable(4, "threads per process of web", minimum=1, maximum=256)
    workers: int = variable(0, "worker processes that run tasks; 0: one per core", minimum=0, maximum=1024)
    https_only: bool = variable(True, "production: redirect to https and send cookies over it alone")
    forwarded_allow_ips: str = variable(
        "127.0.0.1,::1",
        "trusted proxies, whose X-Forwarded-Proto and X-Forwarded-For are believed: addresses and networks as "
        "10.0.0.0/8, comma-separated; *: whoever connects; peers on a unix socket always are",
        check=check_proxies,
    )
    csrf_trusted_origins: tuple[str, ...] = variable(
        (),
        "origins whose pages may change something, comma-separated, as https://tasks.example.com:8443; for a proxy that "
        "does not pass the Host header on as browsers send it",
        check=check_origins,
    )
    script_name: str = variable(
        "", "path below which a proxy shows this service, as /longtasks; empty: the root", check=check_prefix
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One line of the table of variables (and of .env.example)."""

    name: str
    type: str
    default: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Every variable, checked."""

    longtasks: Longtasks
    process: Process


def load(*, environment: Mapping[str, str] | None = None) -> Loaded:
    """Read the environment, and below it the file ENV_FILE (default `.env` in the project root)."""
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
    """Return what the file says; others' variables go into the environment, for those who read it there."""
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
    """The table of variables, in the order of the dataclasses."""
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
            raise ImproperlyConfigured(f"{field.name.upper()} is refused: it holds characters that cannot be printed.")
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

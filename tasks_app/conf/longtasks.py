"""The variables of the service itself: names, types, defaults, bounds and meanings.

Must not read the environment (settings/env.py).
"""

from dataclasses import dataclass

from tasks_app.conf.queue_names import HIGH, LOW, check_queues
from tasks_app.conf.variable import variable


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
    file_bytes: int = variable(1024**3, "bytes of an uploaded file, at most; beyond that, 413", minimum=1)
    file_days: float = variable(
        7.0, "days after which an uploaded file that no task names is deleted", minimum=0.001, maximum=36500
    )
    tracing: bool = variable(
        False,
        "send OpenTelemetry spans to the endpoint that the OTEL_… variables name; needs the packages of the group tracing",
    )
    pause_ms: int = variable(0, "artificial pause after every chunk, in milliseconds", minimum=0)
    bulk_writer: bool = variable(False, "write with LOAD DATA LOCAL INFILE instead of the ORM (MySQL/MariaDB only)")
    crash_points: str = variable(
        "", "tests only: name=N kills the process when it reaches that failpoint for the Nth time"
    )

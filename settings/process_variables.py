"""The variables of the processes: addresses, ports, stores, logs, production's guards.

Must not read the environment (env.py).
"""

from dataclasses import dataclass
from pathlib import Path

from settings.file_storage import check_class_path, check_options
from tasks_app.conf.addresses import check_bind, check_origins, check_prefix, check_proxies
from tasks_app.conf.variable import variable

DEVELOPMENT_SECRET_KEY = "only-for-development-and-refused-in-production"  # noqa: S105 (production refuses it)


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
        Path(".data"), "directory of the embedded SQLite and Valkey, and of files, relative to the project root"
    )
    file_dir: str = variable(
        "",
        "directory of files, which web and all workers must share, and of the uploads that arrive; empty: files in DATA_DIR",
    )
    file_storage: str = variable(
        "",
        "class of the storage of files, such as storages.backends.s3.S3Storage (django-storages); empty: FILE_DIR",
        check=check_class_path,
    )
    file_storage_options: str = variable("", "options of FILE_STORAGE as a JSON object", check=check_options)
    log_level: str = variable("INFO", "minimum log level", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    log_format: str = variable(
        "AUTO", "JSON, TEXT, or AUTO: JSON in production, TEXT elsewhere", choices=("AUTO", "JSON", "TEXT")
    )
    bind: str = variable(
        "127.0.0.1",
        "address that web listens on; 0.0.0.0 or :: for every network; unix:/directory: web.sock in it",
        check=check_bind,
    )
    port: int = variable(3000, "port that web listens on", minimum=1, maximum=65535)
    api_open: str = variable(
        "AUTO",
        "1: requests need no token; refused in production; AUTO: 1 in development on loopback",
        choices=("AUTO", "1", "0"),
    )
    web_workers: int = variable(0, "web processes; 0: one per core", minimum=0, maximum=256)
    web_threads: int = variable(
        4, "threads per web process, for what the event loop does not serve itself", minimum=1, maximum=256
    )
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

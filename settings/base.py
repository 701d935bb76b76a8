"""The settings that all environments share. Must not read a variable: env.py does that."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from settings.admin import *
from settings.admin import UNFOLD
from settings.database import database_settings, replica_settings
from settings.env import ROOT, Longtasks, load
from settings.file_storage import storage_settings
from settings.tracing import require_tracing_packages
from tasks_app.conf.openapi import OPENAPI
from tasks_app.conf.redis import connection_settings
from tasks_app.conf.service_url import ServiceUrl

_loaded = load()
_process = _loaded.process
LONGTASKS: Longtasks = _loaded.longtasks

BASE_DIR = ROOT
DATA_DIR = ROOT / _process.data_dir
FILE_DIR = ROOT / _process.file_dir if _process.file_dir else DATA_DIR / "files"
_has_redis = bool(LONGTASKS.redis_url or LONGTASKS.redis_sentinels)
DEBUG = _process.debug
SECRET_KEY = _process.secret_key
ALLOWED_HOSTS = list(_process.allowed_hosts)
WORKERS = _process.workers
WEB_WORKERS = _process.web_workers
WEB_THREADS = _process.web_threads
PORT = _process.port
BIND = _process.bind
FORWARDED_ALLOW_IPS = _process.forwarded_allow_ips
CSRF_TRUSTED_ORIGINS = list(_process.csrf_trusted_origins)
CSRF_FAILURE_VIEW = "longtasks.http.refusals.csrf_failure"
# The path prefix under which a proxy serves this service; all links begin with it.
URL_PREFIX = _process.script_name
FORCE_SCRIPT_NAME = URL_PREFIX or None
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = LANGUAGE_COOKIE_PATH = URL_PREFIX or "/"
UNFOLD["SITE_URL"] = f"{URL_PREFIX}/docs"
API_OPEN = _process.api_open == "1"

INSTALLED_APPS = [
    "unfold",  # before the admin, whose templates it replaces
    "django.contrib.admin",
    "longtasks",  # for its commands; before django.contrib.auth and django_rq, some of whose commands it replaces
    "tasks_app.apps.TasksAppConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_rq",
    "catalog.apps.CatalogConfig",
]

# AdminMiddleware passes requests outside /admin/ through: the API has no session, and POST /tasks sends no SQL.
MIDDLEWARE = [
    "tasks_app.api.request_ids.RequestIdMiddleware",
    "tasks_app.api.request_metrics.RequestMetricsMiddleware",
    "longtasks.http.https_only.HttpsOnlyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "longtasks.http.page_middleware.AdminMiddleware",
    "longtasks.http.page_middleware.HostAndLengthMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "longtasks.http.browser_origins.BrowserMiddleware",
]

if LONGTASKS.tracing:
    require_tracing_packages()
    MIDDLEWARE.insert(1, "tasks_app.observability.tracing.TracingMiddleware")

DEFAULT_EXCEPTION_REPORTER_FILTER = "longtasks.http.debug_pages.ReporterFilter"
# The database holds no session key, so a copy of it logs nobody in.
SESSION_ENGINE = "longtasks.http.sessions"

ROOT_URLCONF = "longtasks.urls"
WSGI_APPLICATION = "longtasks.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

if _process.database_read_url and not _process.database_url:
    raise ImproperlyConfigured("DATABASE_READ_URL is set and DATABASE_URL is not: set both, or neither.")
if LONGTASKS.bulk_writer and not _process.database_url.startswith(("mysql://", "mariadb://")):
    raise ImproperlyConfigured("BULK_WRITER=1 needs MySQL or MariaDB: name one in DATABASE_URL, or unset BULK_WRITER.")
DATABASES: dict[str, dict[str, Any]] = {
    "default": database_settings(url=_process.database_url, data_dir=DATA_DIR, local_infile=LONGTASKS.bulk_writer)
}
if _process.database_read_url:
    DATABASES["replica"] = replica_settings(url=_process.database_read_url)
    DATABASE_ROUTERS = ["tasks_app.database.replica_router.ReplicaRouter"]
# DATABASE_PASSWORD is not percent-encoded, unlike a password in the URL: containers often get a password this way.
if _process.database_password:
    for _database in DATABASES.values():
        _database["PASSWORD"] = _database.get("PASSWORD") or _process.database_password
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("es", _("Spanish"))]

STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "longtasks": storage_settings(
        class_path=_process.file_storage, options=_process.file_storage_options, folder=FILE_DIR
    ),
}

STATIC_URL = f"{URL_PREFIX}/static/"
# Static files are served from the packages, so no collectstatic is needed before the first start.
WHITENOISE_USE_FINDERS = True
# Pages of other origins have no use for our static files.
WHITENOISE_ALLOW_ALL_ORIGINS = False

# The largest body that any view accepts; the API's parsers check its own, smaller limits.
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024


_redis = connection_settings(
    url=LONGTASKS.redis_url or ("" if _has_redis else str(ServiceUrl(scheme="unix", path=f"{DATA_DIR}/valkey.sock"))),
    sentinels=LONGTASKS.redis_sentinels,
    master_name=LONGTASKS.redis_master_name,
    sentinel_username=LONGTASKS.redis_sentinel_username,
    sentinel_password=LONGTASKS.redis_sentinel_password,
    timeout_seconds=LONGTASKS.redis_timeout_seconds,
)
RQ_QUEUES = {
    name: {
        **_redis,
        "SERIALIZER": "rq.serializers.JSONSerializer",  # never pickle: others may write to Redis
        "DEFAULT_TIMEOUT": LONGTASKS.job_timeout_seconds,
        "DEFAULT_RESULT_TTL": LONGTASKS.result_ttl_seconds,
    }
    for name in LONGTASKS.queues
}
RQ = {
    "JOB_CLASS": "tasks_app.job.TaskJob",
    "WORKER_CLASS": "tasks_app.worker.TaskWorker",
    "COMMIT_MODE": "auto",
    "DEFAULT_RESULT_TTL": LONGTASKS.result_ttl_seconds,
}
# The functions, by dotted path, that jobs other than tasks may call: anyone who can write to Redis could name any function.
RQ_ALLOWED_FUNCTIONS: frozenset[str] = frozenset({"tasks_app.pruning.run_scheduled"})

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["tasks_app.api.json_rendering.OrjsonRenderer"],
    "DEFAULT_PARSER_CLASSES": ["tasks_app.api.json_rendering.OrjsonParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "UNAUTHENTICATED_USER": None,
    "EXCEPTION_HANDLER": "tasks_app.api.problem_details.problem_response",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "TEST_REQUEST_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}
SPECTACULAR_SETTINGS = OPENAPI | {"SERVERS": [{"url": URL_PREFIX}] if URL_PREFIX else []}

LOG_FORMAT = "TEXT" if _process.log_format == "AUTO" else _process.log_format
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"()": "longtasks.log_formatters.TextFormatter"},
        "json": {"()": "longtasks.log_formatters.JsonFormatter"},
    },
    "filters": {
        # Lets only 5xx with an exception through. A line for each 400, 404 or 503 would let anyone fill the log. Django
        # also attaches exceptions to some 4xx (a form that cannot be parsed); `status_code` is the response's status.
        "crashes": {
            "()": "django.utils.log.CallbackFilter",
            "callback": lambda record: record.exc_info is not None and getattr(record, "status_code", 500) >= 500,
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT.lower()}},
    "root": {"handlers": ["console"], "level": _process.log_level},
    "loggers": {
        # Django's default handlers log nothing without DEBUG.
        "django": {"handlers": [], "level": _process.log_level},
        "django.request": {"filters": ["crashes"]},
        # These are all 400 or 403: an unknown host, a wrong CSRF token, too many fields. A filter would have no effect,
        # because Django logs to loggers below this one, which inherit only its level.
        "django.security": {"level": "CRITICAL"},
        # RQ writes several lines per job.
        "rq.worker": {"level": "WARNING"},
    },
}

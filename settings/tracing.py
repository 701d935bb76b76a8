"""The check that the optional packages for TRACING=1 are installed."""

from importlib.util import find_spec

from django.core.exceptions import ImproperlyConfigured

MODULES = {
    "opentelemetry.sdk.trace": "opentelemetry-sdk",
    "opentelemetry.exporter.otlp.proto.http": "opentelemetry-exporter-otlp-proto-http",
}


def require_tracing_packages() -> None:
    """Raise ImproperlyConfigured if a package is missing; otherwise each request and chunk would fail."""
    missing = [package for module, package in MODULES.items() if not _is_installed(module)]
    if missing:
        raise ImproperlyConfigured(
            f"TRACING=1 needs {' and '.join(missing)}: .ci/pins tracing | pip install -r /dev/stdin, or unset TRACING."
        )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # a parent is missing
        return False

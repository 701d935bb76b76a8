"""Checks that the optional packages that TRACING=1 needs are installed."""

from importlib.util import find_spec

from django.core.exceptions import ImproperlyConfigured

MODULES = {
    "opentelemetry.sdk.trace": "opentelemetry-sdk",
    "opentelemetry.exporter.otlp.proto.http": "opentelemetry-exporter-otlp-proto-http",
}


def require_tracing_packages() -> None:
    """Raise ImproperlyConfigured where a package is missing: each request and chunk would fail for it."""
    missing = [package for module, package in MODULES.items() if not _is_installed(module)]
    if missing:
        raise ImproperlyConfigured(
            f"TRACING=1 wants {' and '.join(missing)}: pip install -r requirements-tracing.txt, or unset TRACING."
        )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # a parent is missing
        return False

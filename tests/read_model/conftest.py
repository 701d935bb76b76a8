"""These tests can change the settings of the service."""

from tests.support.engine import longtasks  # noqa: F401 (fixture)

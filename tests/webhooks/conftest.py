"""These tests start tasks through the API."""

from tests.api.conftest import end, mirror, post  # noqa: F401 (fixtures)

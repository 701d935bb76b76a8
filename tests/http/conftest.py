"""These tests call an API that requires tokens."""

from tests.api.conftest import closed_api, limited_addresses  # noqa: F401 (fixtures)

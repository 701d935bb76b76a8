"""These tests call the API with tokens."""

from tests.api.conftest import client_of, closed_api, limited_addresses, still  # noqa: F401 (fixtures)

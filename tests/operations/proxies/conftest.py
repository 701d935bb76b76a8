"""All tests of the proxies share one service."""

from tests.operations.proxies.place import place, proxy  # noqa: F401 (fixtures)

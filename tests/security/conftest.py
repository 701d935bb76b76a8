"""The stack whose secrets are marked."""

from tests.security.marked_stack import marked  # noqa: F401 (fixture)

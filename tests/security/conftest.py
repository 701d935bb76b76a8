"""What the security tests share: callers with tokens, and the stack whose secrets are marked."""

from tests.api.conftest import client_of, closed_api  # noqa: F401 (fixtures)
from tests.security.marked_stack import marked  # noqa: F401 (fixture)

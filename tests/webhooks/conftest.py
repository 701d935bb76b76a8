"""These tests start tasks through the API and receive webhooks on real sockets."""

from tests.api.conftest import end, mirror, post  # noqa: F401 (fixtures)
from tests.webhooks.receivers import _webhooks, raw_receiver, receiver, start  # noqa: F401 (fixtures)

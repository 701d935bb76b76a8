"""The number of open streams is limited, in total and for each caller."""

import pytest
from rest_framework.exceptions import Throttled

from tasks_app.api.stream.open_streams import MOST_STREAMS, MOST_STREAMS_OF_CALLER, OpenStreams, TooManyStreams


def test_one_caller_cannot_open_all_streams() -> None:
    streams = OpenStreams()
    for _ in range(MOST_STREAMS_OF_CALLER):
        streams.add("token 1")
    with pytest.raises(Throttled):
        streams.add("token 1")
    for number in range(MOST_STREAMS - MOST_STREAMS_OF_CALLER):
        streams.add(f"user {number}")
    with pytest.raises(TooManyStreams):
        streams.add("token 2")
    streams.remove("token 1")
    streams.add("token 2")
    streams.remove("token 2")
    streams.add("token 1")

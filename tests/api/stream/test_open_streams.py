"""The number of open streams is limited, in total and for each caller."""

import pytest
from rest_framework.exceptions import Throttled

from tasks_app.api.stream.open_streams import PLACES, PLACES_OF_ONE, AllPlacesTaken, Places


def test_one_caller_cannot_open_all_streams() -> None:
    places = Places()
    for _ in range(PLACES_OF_ONE):
        places.take("token 1")
    with pytest.raises(Throttled):
        places.take("token 1")
    for number in range(PLACES - PLACES_OF_ONE):
        places.take(f"user {number}")
    with pytest.raises(AllPlacesTaken):
        places.take("token 2")
    places.leave("token 1")
    places.take("token 2")
    places.leave("token 2")
    places.take("token 1")

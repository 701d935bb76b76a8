"""tasks_app/resilience/set_aside_items.py: an item is recorded with the cursor that passes it, and logged once."""

import logging
from typing import Any

import pytest

from tasks_app.domain import stream_ids
from tasks_app.models import MirrorCursor, SetAsideItem
from tasks_app.resilience import failpoints
from tests.support.engine import mirror
from tests.support.refused_items import append, items, raise_, refused_task


def test_one_warning_names_the_item(redis: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _, item = refused_task(redis)
    [line] = [each.getMessage() for each in caplog.records if "set aside" in each.getMessage()]
    assert line == f"snapshot {item.key} is set aside: {item.reason}"


def test_the_cursor_and_the_set_aside_item_commit_together(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    append(redis, b"no JSON")
    with monkeypatch.context() as patch:
        patch.setattr(failpoints, "reach", raise_(KeyboardInterrupt()))  # type: ignore[arg-type]
        with pytest.raises(KeyboardInterrupt):
            mirror()
    assert not SetAsideItem.objects.exists()
    assert not MirrorCursor.objects.exclude(stream_id=stream_ids.START).exists()
    mirror()
    assert len(items()) == 1

"""A process that each test leaves as it found it."""

from collections.abc import Generator

import pytest

from tasks_app.engine import process_settings


@pytest.fixture(autouse=True)
def _as_before() -> Generator[None, None, None]:
    """Whatever a test finds broken, the next one starts from a clean process."""
    values = [setting.read() for setting in process_settings.SETTINGS]
    yield
    for setting, value in zip(process_settings.SETTINGS, values, strict=True):
        if setting.read() != value:
            setting.write(value)

"""The fixture that restores the settings of this process after each test."""

from collections.abc import Generator

import pytest

from tasks_app.engine import process_settings


@pytest.fixture(autouse=True)
def _as_before() -> Generator[None, None, None]:
    """Restore the settings of the process, so that a failed test does not affect the next one."""
    values = [setting.read() for setting in process_settings.SETTINGS]
    yield
    for setting, value in zip(process_settings.SETTINGS, values, strict=True):
        if setting.read() != value:
            setting.write(value)

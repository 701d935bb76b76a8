"""Tests marked `alone` run while no other process of the same xdist run executes a test.

Loaded by `-p tests.exclusive_tests`. Owns the two locks of a run. Without -n it does nothing.
"""

import fcntl
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "alone: measures time, so no other test may run at the same time")
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is not None:
        config.pluginmanager.register(ExclusiveTests(Path(tempfile.gettempdir()) / f"longtasks-run-{run}"))


class ExclusiveTests:
    """Locks around each test of an xdist process: shared for most, exclusive for those marked `alone`."""

    def __init__(self, path: Path) -> None:
        self._paths = [path.with_suffix(suffix) for suffix in (".entry", ".running")]
        self._entry, self._running = (open(each, "ab") for each in self._paths)  # noqa: SIM115 (closed by pytest_unconfigure)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        with self.hold(is_alone=item.get_closest_marker("alone") is not None):
            return (yield)

    @contextmanager
    def hold(self, *, is_alone: bool) -> Generator[None]:
        """Wait until a test may run, and keep others from running beside it if it is alone."""
        # Whoever waits for `running` keeps `entry`: otherwise the shared locks of the others would never all be free.
        with _locked(self._entry, fcntl.LOCK_EX):
            fcntl.flock(self._running, fcntl.LOCK_EX if is_alone else fcntl.LOCK_SH)
        try:
            yield
        finally:
            fcntl.flock(self._running, fcntl.LOCK_UN)

    def pytest_unconfigure(self) -> None:
        for file, path in zip((self._entry, self._running), self._paths, strict=True):
            file.close()
            path.unlink(missing_ok=True)


@contextmanager
def _locked(file: IO[bytes], kind: int) -> Generator[None]:
    fcntl.flock(file, kind)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)

"""tasks_app/observability/metric_files.py: a metrics file has no holes; without one the process counts in memory."""

import os
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict

from tasks_app.observability.prometheus_client_internals import AllocatedDict


def test_a_growing_metrics_file_has_no_holes(tmp_path: Path) -> None:
    path = tmp_path / "counter_1.db"
    counts = AllocatedDict(str(path))
    for number in range(2000):
        counts.write_value(f"a key that takes some room, number {number}", number, 0.0)
    counts.close()
    status = path.stat()
    assert status.st_blocks * 512 >= status.st_size > 1 << 16
    assert len(list(MmapedDict.read_all_values_from_file(str(path)))) == 2000


def test_a_process_counts_in_memory_where_no_file_can_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = AllocatedDict(str(tmp_path / "counter_1.db"))

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    for number in range(2000):
        counts.write_value(f"a key that takes some room, number {number}", number, 0.0)
    assert counts.read_value("a key that takes some room, number 7") == (7.0, 0.0)
    counts.close()
    unseen = AllocatedDict(str(tmp_path / "counter_2.db"))
    unseen.write_value("key", 1.0, 0.0)
    assert unseen.read_value("key") == (1.0, 0.0)
    unseen.close()
    assert not (tmp_path / "counter_2.db").exists()

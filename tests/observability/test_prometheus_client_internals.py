"""prometheus_client's private parts are where this project expects them."""

import inspect
import os
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from prometheus_client import mmap_dict, values
from prometheus_client.mmap_dict import MmapedDict

from tasks_app.observability import prometheus_client_internals
from tasks_app.observability.prometheus_client_internals import FIRST_BYTES, AllocatedDict, use_allocated_files


def write_many(file: MmapedDict) -> dict[str, float]:
    written = {f"{number:05}" + "é" * 100: float(number) for number in range(500)}
    for key, value in written.items():
        file.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    return written


def read(path: Path) -> dict[str, float]:
    entries: Any = MmapedDict.read_all_values_from_file(str(path))  # type: ignore[no-untyped-call]
    return {key: value for key, value, *_ in entries}


def test_the_names_and_arguments_are_those_that_are_overridden() -> None:
    assert list(inspect.signature(MmapedDict.__init__).parameters) == ["self", "filename", "read_mode"]
    assert list(inspect.signature(MmapedDict._init_value).parameters) == ["self", "key"]
    assert mmap_dict._INITIAL_MMAP_SIZE == FIRST_BYTES


def test_a_file_has_the_attributes_that_are_replaced(tmp_path: Path) -> None:
    file: Any = MmapedDict(str(tmp_path / "x.db"))  # type: ignore[no-untyped-call]
    assert {"_f", "_m", "_capacity", "_used"} <= vars(file).keys()
    assert file._capacity == len(file._m) == os.fstat(file._f.fileno()).st_size == FIRST_BYTES
    file.close()


def test_prometheus_clients_own_files_have_holes_and_ours_have_none(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs.db", tmp_path / "ours.db"
    for path, kind in ((theirs, MmapedDict), (ours, AllocatedDict)):
        file: Any = kind(str(path))
        written = write_many(file)
        file.close()
        assert read(path) == written
        assert path.stat().st_size > FIRST_BYTES
    assert ours.stat().st_blocks * 512 >= ours.stat().st_size
    assert theirs.stat().st_blocks * 512 < theirs.stat().st_size, "prometheus_client allocates its files: use its own"


def test_metrics_use_the_replaced_class(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(values, "MmapedDict", MmapedDict)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    use_allocated_files()
    value: Any = values.MultiProcessValue()("counter", "a", "a", (), (), "help")  # type: ignore[no-untyped-call]
    value.inc(2)
    assert isinstance(value._file, AllocatedDict)


@pytest.mark.parametrize(("owner", "name"), [(values, "MmapedDict"), (MmapedDict, "_init_value")])
def test_a_renamed_part_is_noticed_at_the_start(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    monkeypatch.delattr(owner, name)
    with pytest.raises(ImproperlyConfigured, match=prometheus_client_internals.__name__):
        use_allocated_files()

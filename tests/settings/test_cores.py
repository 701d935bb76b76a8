"""WEB_WORKERS and WORKERS of 0: one process per core that this process may use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from settings.env import ROOT, load
from tasks_app.conf.cores import count_cores


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("50000 100000", 1), ("100000 100000", 1), ("max 100000", None), ("junk", None), ("1 0", None), ("0 100000", 1)],
)
def test_a_quota_limits_the_cores(tmp_path: Path, quota: str, cores: int | None) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert count_cores(quota_path=tmp_path / "cpu.max") == (cores or len(os.sched_getaffinity(0)))


def test_without_a_quota_the_affinity_counts(tmp_path: Path) -> None:
    script = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); "
        "from tasks_app.conf.cores import count_cores; print(count_cores())"
    )
    printed = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "1"


def test_0_is_one_per_core_and_the_default() -> None:
    cores = count_cores()
    for environment in ({}, {"WEB_WORKERS": "0", "WORKERS": "0"}):
        process = load(environment=environment).process
        assert (process.web_workers, process.workers) == (cores, cores)
    assert load(environment={"WEB_WORKERS": "7", "WORKERS": "9"}).process.workers == 9

"""deploy/systemd/ by the systemd of Debian 12: it knows every line, and the units may do no more than they need."""

import shutil
import subprocess
from pathlib import Path

import pytest

from settings.env import ROOT

UNITS = ROOT / "deploy" / "systemd"
HAS_SYSTEMD = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@HAS_SYSTEMD
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """Every line: what a Debian's systemd does not know, it ignores."""
    for path in UNITS.iterdir():
        shutil.copy(path, tmp_path)
    units = [str(path) for path in tmp_path.iterdir()]
    checked = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    complaints = [line for line in checked.stderr.splitlines() if str(tmp_path) in line or "longtasks" in line]
    assert complaints == []


@HAS_SYSTEMD
@pytest.mark.parametrize("path", sorted(UNITS.glob("*.service")), ids=lambda path: path.stem)
def test_units_have_the_least_privileges(path: Path) -> None:
    checked = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout[-3000:] + checked.stderr

"""deploy/systemd/: Debian 12's systemd accepts every line, and the units have the least privileges."""

import shutil
import subprocess
from pathlib import Path

import pytest

from settings.env import ROOT

UNITS = ROOT / "deploy" / "systemd"
HAS_SYSTEMD = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@HAS_SYSTEMD
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """systemd ignores lines that it does not know, so each line is checked."""
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

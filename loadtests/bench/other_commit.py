"""Another commit's code beside this one, for a comparison in turns.

Owns the copy and its packages: the versions that the commit names, beside its files. Never touches the working tree.
"""

import subprocess
import sys
from pathlib import Path

from loadtests.bench.errors import BenchError
from longtasks.local_stack.procfile import PROJECT_DIR

EXPORT_SECONDS = 60
INSTALL_SECONDS = 600


def export_commit(commit: str, *, target: Path) -> Path:
    """Write the files of a commit to `target`. Raises BenchError if git does not know it."""
    result = subprocess.run(
        ["git", "archive", "--format=tar", "--end-of-options", commit],
        cwd=PROJECT_DIR,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=EXPORT_SECONDS,
        check=False,
    )
    if result.returncode:
        raise BenchError(f"--against {commit}: {result.stderr.decode(errors='replace').strip()}")
    target.mkdir()
    # Not tarfile: the safe way to extract, `filter`, is missing in 3.11.2, which Debian 12 has.
    subprocess.run(["tar", "-x", "-C", str(target)], input=result.stdout, timeout=EXPORT_SECONDS, check=True)
    return target


def find_packages(directory: Path) -> Path:
    """Return the folder with the packages of a copy, for PYTHONPATH."""
    return directory / ".packages"


def install_packages(directory: Path) -> None:
    """Install what the copy's requirements.txt names, with exact versions, beside it. Raises BenchError."""
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-deps"),
            *("--target", str(find_packages(directory)), "-r", str(directory / "requirements.txt")),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    if result.returncode:
        raise BenchError(f"the packages of the other commit: {result.stderr.strip()[-3000:]}")

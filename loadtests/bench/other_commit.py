"""Another commit's code beside this one, for a comparison in turns.

Owns the copy. It runs with this checkout's packages and commands. Never touches the working tree.
"""

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

from loadtests.bench.errors import BenchError
from longtasks.local_stack.procfile import PROJECT_DIR

EXPORT_SECONDS = 60


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
    with tarfile.open(fileobj=BytesIO(result.stdout)) as archive:
        archive.extractall(target, filter="data")
    return target

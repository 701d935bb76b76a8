"""The files that git knows, for tests that read all of them."""

import subprocess

from settings.env import ROOT


def list_tracked() -> list[str]:
    """Return the paths of all tracked files, relative to the project."""
    shown = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return shown.stdout.splitlines()

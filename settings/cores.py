"""How many cores this process may use: what WEB_WORKERS and WORKERS of 0 mean.

Owns the count, from the affinity and the control group's quota. Must not know a variable.
"""

import math
import os
from pathlib import Path

QUOTA_PATH = Path("/sys/fs/cgroup/cpu.max")  # of the own control group in a container (version 2)


def count_cores(*, quota_path: Path = QUOTA_PATH) -> int:
    """Return the cores of the affinity, or the quota, rounded up, where that is less; 1 or more."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = quota_path.read_text(encoding="ascii").split()
        cores = min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        pass  # no quota ("max"), no such file, or another system
    return max(1, cores)

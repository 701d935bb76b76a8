"""The number of cores that this process may use: the meaning of 0 in WEB_WORKERS and WORKERS.

Owns the count, from the CPU affinity and the control group's quota. Must not know a variable.
"""

import math
import os
from pathlib import Path

QUOTA_PATH = Path("/sys/fs/cgroup/cpu.max")  # a container's own control group (cgroup v2)


def count_cores(*, quota_path: Path = QUOTA_PATH) -> int:
    """Return the smaller of the cores in the affinity and the quota, rounded up; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = quota_path.read_text(encoding="ascii").split()
        cores = min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        pass  # no quota ("max"), no such file, or another system
    return max(1, cores)

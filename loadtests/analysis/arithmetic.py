"""The capacity of the document's machine, computed from the cost of a POST and of a task here. Must not: measure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from loadtests.analysis.seed import CORES

BUSY: Final = 0.6  # the load of the cores without long waits; the same as in docs/scaling.md
WEB, REDIS = "web", "redis"
BACKGROUND: Final = ("worker", "mirror", "mariadb", REDIS)


@dataclass(frozen=True, slots=True)
class Costs:
    """Microseconds of a CPU."""

    post: Mapping[str, float]  # to accept a POST, by part
    task: Mapping[str, float]  # to run its task, by part

    def cores(self, *, rate: float, with_tasks: bool) -> float:
        """Return the number of busy cores at this rate, without a reserve."""
        return rate * (sum(self.post.values()) + (sum(self.task.values()) if with_tasks else 0)) / 1e6

    def rate(self, *, with_tasks: bool, cores: int = CORES) -> float:
        """Return the rate that these cores sustain at a load of BUSY."""
        return cores * BUSY / self.cores(rate=1, with_tasks=with_tasks)


def find_costs(run: Mapping[str, Any], drain: Mapping[str, Any]) -> Costs:
    """Return the costs from a run with POSTs, and from tasks that ran without load."""
    responses = max(1, run["counters"].get("http.responses", 0))
    post = {part: run["cpuSeconds"][part] / responses * 1e6 for part in (WEB, REDIS)}
    return Costs(post, {part: drain["cpuMicrosecondsPerTask"][part] for part in BACKGROUND})

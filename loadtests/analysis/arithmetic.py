"""What the document's machine could do, computed from what a POST and a task cost here. Nothing here is measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from loadtests.analysis.seed import CORES

BUSY: Final = 0.6  # how busy cores may be so that nobody waits long; docs/scaling.md takes the same
WEB, REDIS = "web", "redis"
BACKGROUND: Final = ("worker", "mirror", "mariadb", REDIS)


@dataclass(frozen=True, slots=True)
class Costs:
    """Microseconds of a CPU."""

    post: Mapping[str, float]  # to accept a POST, by part
    task: Mapping[str, float]  # to do the task behind it, by part

    def cores(self, *, rate: float, with_tasks: bool) -> float:
        """Return how many cores are busy at this rate, without any reserve."""
        return rate * (sum(self.post.values()) + (sum(self.task.values()) if with_tasks else 0)) / 1e6

    def rate(self, *, with_tasks: bool, cores: int = CORES) -> float:
        """Return the rate that these cores hold while they are BUSY."""
        return cores * BUSY / self.cores(rate=1, with_tasks=with_tasks)


def find_costs(run: Mapping[str, Any], drain: Mapping[str, Any]) -> Costs:
    """Return the costs of a run that was busy with POSTs, and of tasks that were done without load."""
    responses = max(1, run["counters"].get("http.responses", 0))
    post = {part: run["cpuSeconds"][part] / responses * 1e6 for part in (WEB, REDIS)}
    return Costs(post, {part: drain["cpuMicrosecondsPerTask"][part] for part in BACKGROUND})

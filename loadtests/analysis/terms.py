"""What each of Artillery's figures is, in a sentence, and how it is read out of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from loadtests.bench.figures import MISSING


@dataclass(frozen=True, slots=True)
class Term:
    """A figure by Artillery's name."""

    name: str
    meaning: str

    def read(self, run: Mapping[str, Any]) -> str:
        """Return the figure as the page shows it."""
        metric, _, part = self.name.rpartition(": ")
        if metric:
            value = run["summaries"].get(metric, {}).get(part)
            return MISSING if value is None else f"{value:,.1f} ms"
        if self.name.endswith("_rate"):
            rate = run["rates"].get(self.name)
            return MISSING if rate is None else f"{rate:,}/s"
        return f"{run['counters'].get(self.name, 0):,}"


TIMES: Final = "http.response_time"
SESSION: Final = "vusers.session_length"
TERMS: Final = (
    Term("http.requests", "Requests that were sent."),
    Term(
        "http.responses",
        "Responses that arrived. The difference from the requests is time-outs and broken connections.",
    ),
    Term("http.codes.201", "Responses with that status; 201 means that the task was accepted and stored."),
    Term("http.request_rate", "Requests sent per second, on average over the run."),
    Term(f"{TIMES}: min", "The fastest response: the time that the service needs when nothing delays it."),
    Term(f"{TIMES}: mean", "The sum of all response times divided by their number. The document's goal is a mean."),
    Term(f"{TIMES}: median", "Half of the responses were faster. A few slow ones change the mean, but not the median."),
    Term(f"{TIMES}: p95", "95 of 100 responses were faster."),
    Term(
        f"{TIMES}: p99",
        "99 of 100 responses were faster. The figure needs hundreds of responses to mean anything.",
    ),
    Term(f"{TIMES}: max", "The slowest response."),
    Term(
        "vusers.created",
        "Virtual users that started. Each opens a connection, sends its requests and ends.",
    ),
    Term("vusers.completed", "Virtual users that reached the end of their scenario."),
    Term(
        "vusers.failed",
        "Virtual users that did not, because of an error or a response that the scenario does not expect.",
    ),
    Term(
        "vusers.skipped",
        "Virtual users that were planned and did not start, because all users of k6 were waiting. Artillery starts them late.",
    ),
    Term(
        f"{SESSION}: mean",
        "The time of a virtual user from its first step to its last, including connecting and `think`.",
    ),
    Term(f"{SESSION}: p99", "99 of 100 sessions were shorter."),
)

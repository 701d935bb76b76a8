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
    Term("http.responses", "Answers that came. The difference to the requests are time-outs and broken connections."),
    Term("http.codes.201", "Answers of that status; 201 means that the task was accepted and is kept."),
    Term("http.request_rate", "Requests sent in a second, on average over the run."),
    Term(f"{TIMES}: min", "The quickest answer: what the service needs when nothing stands in the way."),
    Term(f"{TIMES}: mean", "The sum of all response times by their number. The document's goal is one of the mean."),
    Term(f"{TIMES}: median", "Half of the answers were quicker. A few slow ones move the mean, and not the median."),
    Term(f"{TIMES}: p95", "95 of 100 answers were quicker."),
    Term(
        f"{TIMES}: p99",
        "99 of 100 answers were quicker: the time of the unlucky. It takes hundreds of answers to mean anything.",
    ),
    Term(f"{TIMES}: max", "The slowest answer."),
    Term(
        "vusers.created",
        "Virtual users that began. Each comes with a connection of its own, sends its requests and leaves.",
    ),
    Term("vusers.completed", "Those that reached the end of their scenario."),
    Term("vusers.failed", "Those that did not: an error, or an answer that was not what the scenario expects."),
    Term(
        "vusers.skipped",
        "Those that were planned and did not begin, because k6 had all its virtual users waiting. Artillery begins them late.",
    ),
    Term(
        f"{SESSION}: mean",
        "How long a virtual user took from its first step to its last, with connecting and thinking.",
    ),
    Term(f"{SESSION}: p99", "99 of 100 sessions were shorter."),
)

"""What the figures say, in the order of the document's "Análisis del resultado": codes, rate, times, sessions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from loadtests.analysis import seed
from loadtests.analysis.terms import SESSION, TIMES

ALL_OF_THE_CPU: Final = 0.85
THINK_SECONDS: Final = 3  # of the gradual load's scenario
Run = Mapping[str, Any]


def find_run(runs: Sequence[Run], load: str) -> Run:
    """Return k6's run of a load: it is there whatever is installed."""
    return next(run for run in runs if run["load"] == load and run["tool"] == "k6")


class Interruption:
    """The sentences of the analysis, from k6's runs."""

    def __init__(self, figures: Mapping[str, Any]) -> None:
        self._cores: int = figures["machine"]["cores"]
        runs = figures["runs"]
        self._six, self._gradual, self._goal = (find_run(runs, each) for each in ("six", "gradual", "responsiveness"))

    def codes(self) -> Iterator[str]:
        """Say how many requests were accepted."""
        yield f"201 was the answer to {_accepted(self._six)} at 6 a second, to {_accepted(self._gradual)} in the gradual"
        yield f"load and to {_accepted(self._goal)} at 2,000 a second, as it was to the document's nine."

    def rate(self) -> Iterator[str]:
        """Say what the rate tells."""
        yield "The document takes its 6 a second for a good sign. A rate that is met says that the service kept up;"
        yield "it does not say how much more there could be."
        yield f"Here 6 a second kept {_service_cores(self._six):.2f} of {self._cores} cores busy."
        yield "(Its nine requests in three seconds are three a second:"
        yield "Artillery's 6 is the rate of the part of the period in which they fell.)"

    def response_time(self) -> Iterator[str]:
        """Hold the document's times, and ours, against its goal."""
        theirs = seed.RUN["summaries"][TIMES]
        yield f"The document says that a mean of {theirs['mean']} ms fulfils the goal of {seed.GOAL_MS} ms."
        yield f"It does not: it is {theirs['mean'] / seed.GOAL_MS:.1f} times as long."
        yield f"Its p99 of {theirs['p99']} ms is one of nine answers, of which the slowest took {theirs['max']} ms."
        yield f"Here the mean is {_time(self._six, 'mean'):,.1f} ms at 6 a second: {_judge(self._six)}."

    def gradual_load(self) -> Iterator[str]:
        """Say whether the gradual load has found the limit."""
        yield f"Over its four steps the mean is {_time(self._gradual, 'mean'):,.1f} ms"
        yield f"and the p99 {_time(self._gradual, 'p99'):,.1f} ms: {_judge(self._gradual)}."
        yield "Eight requests a second are far below the limit, which this load was to find."
        yield "[benchmarks.md](benchmarks.md) raises the rate until a step misses the goal."

    def goal_load(self) -> Iterator[str]:
        """Say whether the goal was met, and what limited it."""
        rate, skipped = self._goal["rates"]["http.request_rate"], self._goal["counters"].get("vusers.skipped", 0)
        yield f"{rate:,} requests a second were sent, with a mean of {_time(self._goal, 'mean'):,.0f} ms: {_judge(self._goal)}."
        if skipped:
            yield f"{skipped:,} of the planned requests were never sent: all of k6's virtual users were waiting for answers."
        service, client = _service_cores(self._goal), self._goal["cpuSeconds"]["client"] / self._goal["seconds"]
        yield f"The service kept {service:.1f} cores busy and the load generator {client:.1f}, of {self._cores}."
        if service + client >= ALL_OF_THE_CPU * self._cores:
            yield "That is all there are: the CPU is the limit, and requests queue before web."

    def session_length(self) -> Iterator[str]:
        """Say what sessions consist of."""
        six, gradual = (float(run["summaries"][SESSION]["mean"]) for run in (self._six, self._gradual))
        yield f"At 6 a second a session takes {six:,.1f} ms: one request, and opening the connection."
        yield f"In the gradual load it takes {gradual / 1000:,.1f} s: one virtual user runs the whole loop,"
        yield f"and {THINK_SECONDS} s of it are the scenario's `think`."
        yield "It says how long a user stays, and not how quick the service is."


def _time(run: Run, part: str) -> float:
    return float(run["summaries"][TIMES][part])


def _judge(run: Run) -> str:
    mean = _time(run, "mean")
    if mean <= seed.GOAL_MS:
        return f"the goal of {seed.GOAL_MS} ms is met"
    return f"the goal of {seed.GOAL_MS} ms is missed, by a factor of {mean / seed.GOAL_MS:.1f}"


def _accepted(run: Run) -> str:
    accepted, requests = run["counters"].get("http.codes.201", 0), run["counters"].get("http.requests", 0)
    return f"all {requests:,}" if accepted == requests else f"{accepted:,} of {requests:,}"


def _service_cores(run: Run) -> float:
    """Return how many cores the service kept busy, the load generator left out."""
    return sum(seconds for part, seconds in run["cpuSeconds"].items() if part != "client") / float(run["seconds"])

"""The document's own figures and machine, as it prints them."""

from typing import Any, Final

GOAL_MS: Final = 40
GOAL_RATE: Final = 2000
RUN: Final[dict[str, Any]] = {
    "counters": {
        "http.codes.201": 9,
        "http.requests": 9,
        "http.responses": 9,
        "vusers.created": 9,
        "vusers.completed": 9,
        "vusers.failed": 0,
    },
    "rates": {"http.request_rate": 6},
    "summaries": {
        "http.response_time": {"min": 175, "max": 231, "mean": 182.6, "median": 175.9, "p95": 183.1, "p99": 183.1},
        "vusers.session_length": {
            "min": 182.2, "max": 268.5, "mean": 198.9, "median": 183.1, "p95": 206.5, "p99": 206.5,
        },
    },
}  # fmt: skip
CPU: Final = "Intel Core i5-1035G1"
CORES: Final = 4
MEMORY_MIB: Final = 8 * 1024

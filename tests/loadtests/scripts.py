"""Artillery scripts as Python values."""

from typing import Any

GET = {"get": {"url": "/echo"}}
TARGET = "http://127.0.0.1:1"


def script(*flow: Any, scenario: dict[str, Any] | None = None, top: dict[str, Any] | None = None, **config: Any) -> Any:
    return {
        "config": {"target": TARGET, **config},
        "scenarios": [{"flow": list(flow) or [GET], **(scenario or {})}],
        **(top or {}),
    }


def request(**words: Any) -> dict[str, Any]:
    return {"get": {"url": "/", **words}}

"""Reads Artillery's YAML, because k6 cannot. What the words mean is decided by lib/artillery/*.js, not here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

DEFAULT_SCENARIO = Path(__file__).parent / "artillery" / "create_task.yaml"


class UnreadableFile(Exception):
    """A file is no Artillery file; the message says which and why."""


def merge(left: Any, right: Any) -> Any:
    """As Artillery merges its files: mappings by key, lists by position, the later value wins."""
    if isinstance(left, dict) and isinstance(right, dict):
        return {key: merge(left.get(key), right.get(key)) if key in right else left[key] for key in {**left, **right}}
    if isinstance(left, list) and isinstance(right, list):
        longer = left if len(left) > len(right) else right
        return [merge(*pair) for pair in zip(left, right, strict=False)] + longer[min(len(left), len(right)) :]
    return left if right is None else right


def read_file(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UnreadableFile(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise UnreadableFile(
            f"{path} holds {type(content).__name__}: an Artillery file is a mapping with config and scenarios"
        )
    return content


def read_plan(paths: Sequence[Path]) -> dict[str, Any]:
    """The files as one. A load without a scenario gets the document's own request."""
    plan: dict[str, Any] = {}
    for path in paths:
        plan = merge(plan, read_file(path))
    if not plan.get("scenarios"):
        plan = merge(plan, read_file(DEFAULT_SCENARIO))
    return plan

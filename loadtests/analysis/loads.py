"""The document's loads, as files for k6's reader and for Artillery itself."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from loadtests.artillery_reader.plan import DEFAULT_SCENARIO, read_file

DIRECTORY: Final = DEFAULT_SCENARIO.parent


@dataclass(frozen=True, slots=True)
class Load:
    """One load: its file for k6's reader, and its files for Artillery, the one with `config` first."""

    key: str
    k6_file: Path
    artillery_files: tuple[Path, ...]
    deadline_seconds: float


FULL: Final = (
    Load("six", DIRECTORY / "six_per_second.yaml", (DIRECTORY / "six_per_second.yaml", DEFAULT_SCENARIO), 60),
    Load("gradual", DIRECTORY / "gradual.yaml", (DIRECTORY / "gradual_native.yaml",), 120),
    Load(
        "responsiveness", DIRECTORY / "responsiveness.yaml", (DIRECTORY / "responsiveness.yaml", DEFAULT_SCENARIO), 90
    ),
)


def shorten(load: Load, *, directory: Path) -> Load:
    """Return the load shortened to a second or two, in new files."""
    return replace(
        load,
        k6_file=_write_short(load.k6_file, directory=directory),
        artillery_files=tuple(_write_short(path, directory=directory) for path in load.artillery_files),
    )


def _write_short(path: Path, *, directory: Path) -> Path:
    file = json.loads(json.dumps(read_file(path)), object_hook=_shorten_object)
    short = directory / path.name
    short.write_text(json.dumps(file), encoding="utf-8")  # JSON is YAML
    return short


def _shorten_object(value: dict[str, Any]) -> dict[str, Any]:
    shorter: dict[str, Callable[[Any], Any]] = {
        "duration": lambda _: 1,
        "arrivalRate": lambda rate: min(rate, 20),
        "holdFor": lambda _: 1,
        "count": lambda count: min(count, 2),
        "think": lambda _: 0.1,
    }
    return {name: shorter[name](each) if name in shorter else each for name, each in value.items()}

"""The context of a measurement: the servers, the scale, the peer if there is one, a directory, and progress output."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench.ground import Ground
from loadtests.bench.scale import Scale

BODY = '{"name":"upload","description":"user upload"}'  # the original's, byte for byte


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    ground: Ground
    scale: Scale
    peer_directory: Path | None  # an installed copy; None: no peer
    other_directory: Path | None  # the files of the commit that --against names; None: no comparison
    directory: Path  # for this measurement's files; deleted at the end
    say: Callable[[str], None]

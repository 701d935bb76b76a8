"""How often a process looks for garbage that refers to itself.

Rows are made and dropped by the ten thousand, and Python's collector, which counts what is made, would look through
all of them again and again: a tenth of a worker's time. Nearly nothing of it is garbage of that kind.
"""

import gc
from typing import Final

YOUNG_OBJECTS: Final = 50_000  # made since the last look; Python's own: 700


def tune_gc() -> None:
    """Leave out what is loaded by now, and look through the rest seldom. For workers and mirror, once they have begun."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)

"""How fast the machine is at this moment: the time of a fixed loop in Python, put beside each turn.

Owns the loop. The cores of shared machines change their speed by 1.75 from one minute to the next, so a figure without it
says little. Measures nothing of longtasks.
"""

import time
from typing import Final

ITERATIONS: Final = 400_000


def calibrate() -> float:
    """Return the milliseconds of CPU that the loop takes now."""
    began = time.process_time()
    value = 0
    for number in range(ITERATIONS):
        value = (value * 31 + number) & 0xFFFFFFFF
    return (time.process_time() - began) * 1000

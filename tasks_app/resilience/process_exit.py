"""Ends this process without the interpreter's clean-up.

Owns that one step. Must not be called while anything is still claimed.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import NoReturn


def exit_at_once(code: int = 0) -> NoReturn:
    """End this process without the interpreter's clean-up: a deploy would wait for its 0.3 s of processor time.

    Only for processes that have released everything.
    """
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)

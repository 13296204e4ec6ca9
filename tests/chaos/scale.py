"""How much is run: a share with `make test`, all of it with `make chaos`."""

from __future__ import annotations

import os

VARIABLE = "SENDER_CHAOS"


def in_full() -> bool:
    """Tell whether all of it is to be run."""
    return os.environ.get(VARIABLE) == "full"


def scaled(share: int, full: int) -> int:
    """Give how often something is run."""
    return full if in_full() else share

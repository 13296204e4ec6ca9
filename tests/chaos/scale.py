"""How much is run: a share with `make test`, all of it with `make chaos`, and for a night with `make soak`."""

from __future__ import annotations

import os

VARIABLE = "SENDER_CHAOS"


def in_full() -> bool:
    """Tell whether all of it is to be run."""
    return os.environ.get(VARIABLE) in {"full", "soak"}


def scaled(share: int, full: int, soak: int | None = None) -> int:
    """Give how often something is run."""
    if soak is not None and os.environ.get(VARIABLE) == "soak":
        return soak
    return full if in_full() else share

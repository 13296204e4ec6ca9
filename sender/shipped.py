"""Where the files are that come with the package: in it (a wheel), or in `config/` beside it (a checkout)."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
PLACES = (_HERE / "data", _HERE.parent / "config")


def shipped(name: str) -> Path | None:
    """Find a file by its name; None where the package came without it."""
    return next((place / name for place in PLACES if (place / name).is_file()), None)

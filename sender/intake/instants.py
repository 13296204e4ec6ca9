"""Instants as clients write them."""

from __future__ import annotations

import datetime as dt
import email.utils

from sender.core.options import OptionError


def parse_instant(value: str) -> float:
    """Read an instant as RFC 3339 or RFC 5322 write it, in seconds since 1970. Raises OptionError."""
    try:
        at = dt.datetime.fromisoformat(value)
    except ValueError:
        try:
            at = email.utils.parsedate_to_datetime(value)
        except (ValueError, TypeError, IndexError):
            raise OptionError("must be an instant such as 2026-12-01T08:00:00Z") from None
    if at.tzinfo is None:
        raise OptionError("must be an instant with its offset from UTC, such as 2026-12-01T08:00:00Z")
    try:
        return at.timestamp()
    except (OverflowError, ValueError):
        raise OptionError("must be an instant that a calendar has in UTC") from None

"""Certificates that nobody has signed, trusted for the time of a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sender.smtp import opening

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest


def trusting(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this machine trust a receiver's certificate until the fixture that yields from this ends."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    opening._context.cache_clear()
    yield
    opening._context.cache_clear()

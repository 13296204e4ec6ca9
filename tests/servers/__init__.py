"""Real servers for tests and measurements: each an async context manager, each alone in a folder on loopback.

- `async with PostfixReceiver(max_connections=5) as receiver:` starts it; leaving the block leaves nothing of it.
- A test says first what it needs: `require(PostfixReceiver, SmtpSink)`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from .exim import EximReceiver
from .logrotate import Logrotate
from .msmtp import Msmtp
from .postfix import PostfixSender
from .postfix_receiver import PostfixReceiver
from .postgrey import Postgrey
from .process import Server, ServerError, ServerMissing, require_root
from .prometheus import Prometheus, Promtool
from .sinks import SmtpSink, SmtpSource
from .stunnel import Stunnel

__all__ = [
    "EximReceiver",
    "Logrotate",
    "Msmtp",
    "PostfixReceiver",
    "PostfixSender",
    "Postgrey",
    "Prometheus",
    "Promtool",
    "Server",
    "ServerError",
    "ServerMissing",
    "SmtpSink",
    "SmtpSource",
    "Stunnel",
    "require",
    "require_root_here",
]


class Program(Protocol):
    """What a test needs of this machine."""

    @classmethod
    def find(cls) -> Path:
        """Find it; or raise ServerMissing."""


def require(*needed: type[Program]) -> None:
    """Skip the test when a program is missing; with CI=true fail it."""
    for one in needed:
        with _skipping():
            one.find()


def require_root_here() -> None:
    """Skip the test where it does not run as root; with CI=true fail it."""
    with _skipping():
        require_root("this test")


@contextlib.contextmanager
def _skipping() -> Iterator[None]:
    try:
        yield
    except ServerMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))

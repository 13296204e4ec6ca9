"""Real servers for tests and measurements: each an async context manager, each alone in a folder on loopback.

- `async with PostfixReceiver(max_connections=5) as receiver:` starts it; leaving the block leaves nothing of it.
- A test says first what it needs: `require(PostfixReceiver, SmtpSink)`.
"""

from __future__ import annotations

import os

import pytest

from .exim import EximReceiver
from .postfix import PostfixSender
from .postfix_receiver import PostfixReceiver
from .postgrey import Postgrey
from .process import Server, ServerError, ServerMissing
from .sinks import SmtpSink, SmtpSource
from .stunnel import Stunnel

__all__ = [
    "EximReceiver",
    "PostfixReceiver",
    "PostfixSender",
    "Postgrey",
    "Server",
    "ServerError",
    "ServerMissing",
    "SmtpSink",
    "SmtpSource",
    "Stunnel",
    "require",
]


def require(*servers: type[Server]) -> None:
    """Skip the test when a server's program is missing; with CI=true fail it."""
    for server in servers:
        try:
            server.find()
        except ServerMissing as missing:
            if os.environ.get("CI") == "true":
                pytest.fail(str(missing))
            pytest.skip(str(missing))

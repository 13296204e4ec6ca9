"""`sender health`: whether the daemon lives, for containers and scripts that have no curl."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING

from sender.cli.common import Commands, DaemonError, command, settings_of
from sender.core.endpoint import split_endpoint
from sender.core.errors import ConfigError, Problem

if TYPE_CHECKING:
    import argparse

_MARGIN_S = 2.0  # beyond what the daemon itself waits for its spool


def register(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "health",
        _health,
        text="Ask the daemon of this machine whether it lives: exit code 0, or 1 with the reason.",
        example="sender health --ready",
    )
    parser.add_argument("--ready", action="store_true", help="whether it can work (/readyz), not only lives (/healthz)")
    parser.add_argument("--role", choices=["all", "intake", "delivery"], default="all", help="as of `sender serve`")


def _health(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    key = "intake_listen" if arguments.role == "intake" else "listen"
    listen: str = getattr(settings.http, key)
    if not listen:
        raise ConfigError([Problem("configuration", f"http.{key}", "", "must be set: it is where the daemon answers")])
    host, port = split_endpoint(listen)
    timeout_s = settings.http.health_timeout + _MARGIN_S
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request("GET", "/readyz" if arguments.ready else "/healthz")
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise DaemonError(f"the daemon at {listen} does not answer: {error}") from error
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise DaemonError(f"not {'ready' if arguments.ready else 'alive'}: {answer.get('detail', response.status)}")
    print(answer["status"])
    return 0

"""What the commands share: their parser, the configuration, and the way to a daemon or its spool."""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import urllib.parse
from typing import TYPE_CHECKING, Any

from sender import settings as configuration
from sender.core.endpoint import split_endpoint
from sender.core.errors import SenderError, SpoolError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from sender.engine.control import Control
    from sender.settings import Settings

Commands = Any  # argparse has no public name for what add_subparsers gives
TOKEN = "SENDER_TOKEN"  # noqa: S105 - where one may stand
_TIMEOUT_S = 60.0


class DaemonError(SenderError):
    """The daemon refused what a command asked for."""


def command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    *,
    text: str,
    example: str,
    reads: bool = False,
    asks: bool = False,
) -> argparse.ArgumentParser:
    """Add a command with its help and example. `asks`: it has a running daemon answer."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="configuration (default: $SENDER_CONFIG, config/sender.toml, /etc/sender/sender.toml)",
    )
    if asks:
        parser.add_argument(
            "--token",
            default=os.environ.get(TOKEN, ""),
            metavar="TOKEN",
            help=f"for a daemon with http.tokens_file (default: ${TOKEN}, which other users do not see)",
        )
    if reads:
        parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)
    return parser


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Load the configuration that a command was given. Raises ConfigError."""
    return configuration.load(configuration.find(arguments.config))


def ask(
    settings: Settings,
    method: str,
    path: str,
    *,
    token: str,
    body: dict[str, Any] | None = None,
    timeout_s: float = _TIMEOUT_S,
    offline: Callable[[Control], Coroutine[Any, Any, Any]],
) -> Any:  # noqa: ANN401 - JSON
    """Ask the running daemon, or, where none answers, the spool. Raises DaemonError, SpoolError."""
    connection = _connection(settings, timeout_s)
    headers = _authorization(token)
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
    except ConnectionRefusedError:
        return asyncio.run(_on_spool(settings, offline, acts=method != "GET"))
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _no_answer(settings, error) from error
    finally:
        connection.close()
    _check(response.status, answer)
    return answer


def follow(settings: Settings, path: str, *, token: str) -> Iterator[bytes]:
    """Give the lines that the running daemon tells, as they come. Raises DaemonError."""
    connection = _connection(settings)
    try:
        connection.request("GET", path, headers=_authorization(token))
        response = connection.getresponse()
        if response.status != http.client.OK:
            _check(response.status, json.loads(response.read()))
        if connection.sock is not None:
            connection.sock.settimeout(None)  # there may be nothing to tell for hours
        while line := response.readline():
            yield line
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _no_answer(settings, error) from error
    finally:
        connection.close()


def _connection(settings: Settings, timeout_s: float = _TIMEOUT_S) -> http.client.HTTPConnection:
    host, port = split_endpoint(settings.http.listen)
    return http.client.HTTPConnection(host, port, timeout=timeout_s)


def _authorization(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _no_answer(settings: Settings, error: Exception) -> DaemonError:
    return DaemonError(f"the daemon at {settings.http.listen} does not answer: {error}")


def _check(status: int, answer: dict[str, Any]) -> None:
    """Raise DaemonError where a call was refused."""
    if status == http.client.UNAUTHORIZED:
        raise DaemonError(f"{answer['detail']}; give it with --token or ${TOKEN}")
    if status >= http.client.BAD_REQUEST:
        raise DaemonError(answer.get("detail", f"HTTP {status}"))


async def _on_spool(settings: Settings, offline: Callable[[Control], Coroutine[Any, Any, Any]], *, acts: bool) -> Any:  # noqa: ANN401 - JSON
    from sender.daemon import Daemon  # noqa: PLC0415 - a command that finds a daemon needs none of its parts

    if not settings.spool_path.exists():
        raise SpoolError(
            "open", f"{settings.spool_path}: does not exist, and no daemon answers at {settings.http.listen}"
        )
    async with Daemon(settings).offline(acts=acts) as control:
        return await offline(control)


def quoted(text: str) -> str:
    """Write a text as a part of a URL."""
    return urllib.parse.quote(text, safe="")


def query(**parameters: str | None) -> str:
    """Write those parameters that are given as a query."""
    given = {name: value for name, value in parameters.items() if value}
    return f"?{urllib.parse.urlencode(given)}" if given else ""


def print_json(value: object) -> None:
    """Print JSON for people and programs."""
    print(json.dumps(value, indent=2))

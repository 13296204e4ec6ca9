"""`sender serve`: the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from typing import TYPE_CHECKING, Any

import uvloop

from sender.cli.common import Commands, command, settings_of
from sender.core.errors import ConfigError
from sender.core.reply import escaped
from sender.daemon import Daemon, Role
from sender.service import Service

if TYPE_CHECKING:
    import argparse
    from collections.abc import Coroutine

    from sender.settings import Settings

log = logging.getLogger("sender")
# The spool's thread takes Python's lock some times in each commit; the usual 5 ms for each are what mail would wait.
_SWITCH_S = 0.0005


class LineFormatter(logging.Formatter):
    """Writes a message in one line, whatever a client or a receiver has put into it; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Give the line without the traceback."""
        return escaped(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802 - logging's name and type
        """Give the traceback."""
        return "\n".join(map(escaped, super().formatException(ei).split("\n")))


def register(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "serve",
        _serve,
        text="Run the daemon. SIGTERM finishes what is open and quits every session; a second one stops at once.",
        example="sender serve --config /etc/sender/sender.toml --role delivery --until-empty",
    )
    parser.add_argument("--role", choices=[*Role], default=Role.ALL, help="accept, deliver, or both (default: all)")
    parser.add_argument("--until-empty", action="store_true", help="exit 0 as soon as nothing is queued")


def _serve(arguments: argparse.Namespace) -> int:
    # A reload that is asked for before there is anything to reload: the configuration is read now.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    settings = settings_of(arguments)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd's: a line for each command, and more
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request, with a URL that may be secret
    return run_loop(_run(settings, Role(arguments.role), arguments))


def run_loop(work: Coroutine[Any, Any, int]) -> int:
    """Run on uvloop."""
    sys.setswitchinterval(_SWITCH_S)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def _run(settings: Settings, role: Role, arguments: argparse.Namespace) -> int:
    daemon = Daemon(settings, role)
    service = Service(daemon)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_stop() -> None:
        if stop.is_set():
            log.warning("stopping at once")
            daemon.abort()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_stop)
    try:
        await daemon.start()
    except OSError as error:
        log.error("cannot start: %s", error)  # noqa: TRY400 - the cause is the message
        return 1
    loop.add_signal_handler(signal.SIGHUP, lambda: _reload(daemon, service, arguments))
    log.info("ready: role %s, HTTP on port %d, spool %s", role, daemon.http_port, settings.spool_path)
    service.started()
    waiting = [asyncio.create_task(stop.wait())]
    if arguments.until_empty:
        waiting.append(asyncio.create_task(daemon.emptied.wait()))
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    log.info("stopping")
    service.stopping()
    await daemon.stop()
    await service.close()
    return 0


def _reload(daemon: Daemon, service: Service, arguments: argparse.Namespace) -> None:
    """Reopen the event file; a configuration with problems leaves the one in force alone."""
    service.reloading()
    problem = ""
    with contextlib.suppress(OSError):
        daemon.reopen_events()
    try:
        daemon.reload(settings_of(arguments))
    except (ConfigError, OSError) as error:
        problem = str(error)
        for line in problem.splitlines():
            log.error("the configuration is not reloaded: %s", line)  # noqa: TRY400
    service.reloaded(problem)

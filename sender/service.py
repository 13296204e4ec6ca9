"""What the service manager is told of the daemon: sd_notify(3), datagrams to `$NOTIFY_SOCKET`; without one, nothing.

- `WATCHDOG=1` follows an answer of the event loop, the committer and the spool's thread that was asked for after the
  one before (`Daemon.answers`). A loop or a commit that hangs ends the pings. A spool that refuses to record does not:
  a restart would lose what is not recorded yet, and repair nothing; `STATUS=` says it.
- A stop is given more time for as long as the loop lives, and no longer than `delivery.drain_timeout` allows.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sender.daemon import Daemon

log = logging.getLogger(__name__)
_STATUS_EVERY_S = 2.0
_MORE_TIME_S = 30.0  # that a stop may take from the last time it was said
_AFTER_DRAIN_S = 60.0  # to cut off and record what is left


class Notifier:
    """Sends datagrams to the socket that the environment names. One that cannot be sent is a matter for the log."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address  # abstract ones begin with a zero
        self.watchdog_s = _watchdog_s(environment) if address else None

    @property
    def wanted(self) -> bool:
        """Tell whether anybody listens."""
        return bool(self._address)

    def tell(self, *assignments: str) -> None:
        """Send assignments such as `READY=1`, all in one datagram; it waits for nobody."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.setblocking(False)
                sending.sendto("\n".join(assignments).encode(), self._address)
        except OSError as error:
            log.warning("the service manager cannot be told %s: %s", assignments[0].partition("=")[0], error)


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """Read within how many seconds pings are expected; None where they are not, or of another process."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        return int(environment["WATCHDOG_USEC"]) / 1e6 or None
    except (KeyError, ValueError):
        return None


class Service:
    """A daemon as its service manager sees it."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._notifier = Notifier()
        self._not_reloaded = ""
        self._status = ""
        self._stopping = False
        self._chores: list[asyncio.Task[None]] = []

    def started(self) -> None:
        """Say that the daemon works; from now on tell how it is."""
        if not self._notifier.wanted:
            return
        self._notifier.tell("READY=1", self._new_status())
        self._chores = [asyncio.create_task(self._show())]
        if self._notifier.watchdog_s is not None:
            self._chores.append(asyncio.create_task(self._ping(self._notifier.watchdog_s)))

    def reloading(self) -> None:
        """Say that the configuration is read anew."""
        if not self._stopping:  # of which nothing is taken back
            microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            self._notifier.tell("RELOADING=1", f"MONOTONIC_USEC={microseconds}")

    def reloaded(self, problem: str = "") -> None:
        """Say that it was, or why the old one is still in force."""
        self._not_reloaded = f"the configuration is not reloaded: {problem}" if problem else ""
        if not self._stopping:
            self._notifier.tell("READY=1", self._new_status())

    def stopping(self) -> None:
        """Say that the daemon stops; from now on ask for the time that this takes."""
        self._stopping = True
        self._notifier.tell("STOPPING=1", self._new_status())
        if self._chores:
            self._chores.append(asyncio.create_task(self._prolong()))

    async def close(self) -> None:
        """Tell nothing more."""
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)

    def _new_status(self) -> str:
        words = ["stopping"] if self._stopping else []
        words += [self._daemon.condition, *filter(None, [self._not_reloaded])]
        self._status = "; ".join(words).replace("\n", " ")
        return f"STATUS={self._status}"

    async def _show(self) -> None:
        while True:
            await asyncio.sleep(_STATUS_EVERY_S)
            before, now = self._status, self._new_status()
            if self._status != before:
                self._notifier.tell(now)

    async def _ping(self, expected_s: float) -> None:
        """See the module. An answer may take two thirds of the time within which a ping is expected."""
        while True:
            if not self._stopping:  # a stop has a limit of its own
                await self._daemon.answers()
            self._notifier.tell("WATCHDOG=1")
            await asyncio.sleep(expected_s / 3)

    async def _prolong(self) -> None:
        ends_at = time.monotonic() + self._daemon.settings.delivery.drain_timeout + _AFTER_DRAIN_S
        while time.monotonic() < ends_at:
            self._notifier.tell(f"EXTEND_TIMEOUT_USEC={int(_MORE_TIME_S * 1e6)}")
            await asyncio.sleep(_MORE_TIME_S / 3)

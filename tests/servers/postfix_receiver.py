"""A private Postfix that takes mail, with the limits that receivers set: caps, rates, postscreen, a policy service.

- What is a limit is a mapping of main.cf parameters, so limits are put together with `|`.
- What was refused and what arrived is read from its log.
"""

from __future__ import annotations

import re
import stat
from collections import Counter
from typing import TYPE_CHECKING

from .log import Follower
from .postfix import Postfix
from .process import LOOPBACK, NO_SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

_BEHIND_POSTSCREEN = " inet n - n - 1 postscreen", "smtpd pass - - n - - smtpd", "dnsblog unix - - n - 0 dnsblog"

_CAPPED = "Connection concurrency limit exceeded"
_CONNECTING_TOO_FAST = "Connection rate limit exceeded"
_SENDING_TOO_FAST = "Message delivery request rate limit exceeded"
_TURNED_AWAY = ": 450 4.3.2 Service currently unavailable;"
_GREYLISTED = "Recipient address rejected: Greylisted"
_REFUSALS = _CAPPED, _CONNECTING_TOO_FAST, _SENDING_TOO_FAST, _TURNED_AWAY, _GREYLISTED
# postscreen has its own words for the cap.
_CAPPED_BY_POSTSCREEN = re.compile(r" postfix/postscreen\[\d+\]: NOQUEUE: reject: CONNECT .*: too many connections$")
_MESSAGE_ID = re.compile(rb"Message-ID: <(.*?)>")
_BEGUN = re.compile(r" postfix/cleanup\[\d+\]: (\w+): message-id=<(.*)>$")
_QUEUED = re.compile(r" postfix/qmgr\[\d+\]: (\w+): from=<.*\(queue active\)$")


def cap(max_connections: int | None) -> dict[str, str]:
    """Allow so many connections of one client at once; None is no cap, which in Postfix's words is 0."""
    return {"smtpd_client_connection_count_limit": str(max_connections or 0)}


def message_rate(messages: int, *, each_s: int) -> dict[str, str]:
    """Allow a client so many messages in each span of seconds; connections are then counted by the same spans."""
    return {"smtpd_client_message_rate_limit": str(messages), "anvil_rate_time_unit": f"{each_s}s"}


def connection_rate(connections: int, *, each_s: int) -> dict[str, str]:
    """Allow a client so many new connections in each span of seconds."""
    return {"smtpd_client_connection_rate_limit": str(connections), "anvil_rate_time_unit": f"{each_s}s"}


def holding() -> dict[str, str]:
    """Keep what is accepted in the queue: unlike the log, it misses nothing when the server is stopped."""
    return {"smtpd_data_restrictions": "check_client_access static:HOLD"}


def policy(service: tuple[str, int]) -> dict[str, str]:
    """Ask a policy service about each recipient, such as a Postgrey."""
    host, port = service
    return {"smtpd_recipient_restrictions": f"check_policy_service inet:{host}:{port}"}


class PostfixReceiver(Postfix):
    """A Postfix that accepts mail for any domain from loopback and discards it.

    `max_connections` is its cap per client address, loopback included; None is no cap. Behind a `postscreen` a client
    that is not known waits a second for the greeting and is turned away once: its first session gets 450 4.3.2.
    """

    def __init__(
        self,
        max_connections: int | None = None,
        settings: Mapping[str, str] = NO_SETTINGS,
        *,
        postscreen: bool = False,
        name: str = "postfix-receiver",
        host: str = LOOPBACK,
        port: int | None = None,
    ) -> None:
        """Set the cap and any other main.cf parameters."""
        limits = {**cap(max_connections), **settings}
        super().__init__(name=name, host=host, port=port, settings=limits, held=False)
        self._postscreen = postscreen
        self._follower: Follower | None = None
        self._refusals: Counter[str] = Counter()
        self._ids: dict[str, str] = {}  # queue id: Message-ID, in the order in which their contents began
        self._accepted: set[str] = set()

    def _defaults(self) -> dict[str, str]:
        return super()._defaults() | {
            "default_transport": "discard:",
            "smtpd_client_event_limit_exceptions": "",
            # Loopback is a client as any other.
            "postscreen_access_list": "",
            "postscreen_greet_wait": "1s",
            "postscreen_greet_action": "enforce",
            "postscreen_pipelining_enable": "yes",
            "postscreen_non_smtp_command_enable": "yes",
            "postscreen_bare_newline_enable": "yes",
        }

    def _services(self) -> list[str]:
        services = super()._services()
        if not self._postscreen:
            return services
        inlet = f"{self.host}:{self.port}"
        return [
            *(line for line in services if not line.startswith(inlet)),
            inlet + _BEHIND_POSTSCREEN[0],
            *_BEHIND_POSTSCREEN[1:],
        ]

    async def change_cap(self, max_connections: int | None) -> None:
        """Change the cap while mail flows; see `reload`."""
        await self.reload(**cap(max_connections))

    def connections_refused(self) -> int:
        """Count the connections refused because of the cap."""
        return self._refused(_CAPPED)

    def connections_too_fast(self) -> int:
        """Count the connections refused because of their rate; the client reads the same words as for the cap."""
        return self._refused(_CONNECTING_TOO_FAST)

    def messages_too_fast(self) -> int:
        """Count the messages refused because of their rate."""
        return self._refused(_SENDING_TOO_FAST)

    def turned_away(self) -> int:
        """Count the recipients that postscreen refused in first sessions."""
        return self._refused(_TURNED_AWAY)

    def greylisted(self) -> int:
        """Count the recipients that the policy service let come again."""
        return self._refused(_GREYLISTED)

    def refusals(self) -> int:
        """Count all of these."""
        self._read_on()
        return self._refusals.total()

    def messages_accepted(self) -> int:
        """Count the messages that reached the queue manager: soon after their 250."""
        self._read_on()
        return len(self._accepted)

    def message_ids(self) -> list[str]:
        """Give the Message-IDs of what was accepted, in order; what came twice is there twice."""
        self._read_on()
        return [message_id for queue_id, message_id in self._ids.items() if queue_id in self._accepted]

    def held_ids(self) -> list[str]:
        """Give the Message-IDs of what a receiver that is `holding` has taken, in no order."""
        files = [file for file in (self._queue / "hold").rglob("*") if file.is_file()]
        # A file is whole when its owner may execute it.
        whole = [file.read_bytes() for file in files if file.stat().st_mode & stat.S_IXUSR]
        return [match[1].decode() for content in whole if (match := _MESSAGE_ID.search(content))]

    def _refused(self, words: str) -> int:
        self._read_on()
        return self._refusals[words]

    def _read_on(self) -> None:
        self._follower = self._follower or Follower(self.folder / "mail.log")
        for line in self._follower.lines():
            if begun := _BEGUN.search(line):
                self._ids[begun[1]] = begun[2]
            elif queued := _QUEUED.search(line):
                self._accepted.add(queued[1])
            elif _CAPPED_BY_POSTSCREEN.search(line):
                self._refusals[_CAPPED] += 1
            else:
                self._refusals.update(words for words in _REFUSALS if words in line)

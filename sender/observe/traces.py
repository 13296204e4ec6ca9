"""Who follows the dialogues of which lanes, live.

Nobody waits for a follower: what it does not fetch in time is left out, and it is told how much. Nothing is put into
words while nobody follows a lane.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from typing import TYPE_CHECKING
from weakref import WeakSet

import orjson

from sender.core.errors import SenderError
from sender.observe.events import instant

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sender.clock import Clock

FOLLOWERS_MAX = 10
LINES_MAX = 1000  # that wait for one follower
_TEXT_MAX = 1000  # characters


class TooManyFollowersError(SenderError):
    """No more can follow."""


class LaneTrace:
    """The ear of one lane's sessions; `followed` says whether anybody listens."""

    def __init__(self, name: str, site: str, traces: Traces, clock: Clock) -> None:
        self.name = name
        self.site = site
        self.followed = False
        self.followers: tuple[Follower, ...] = ()
        self._traces = traces
        self._clock = clock

    def session(self) -> int:
        """Give a session a number that no other of this daemon has."""
        return next(self._traces.numbers)

    def hear(self, session: int, host: str, address: str, direction: str, text: str) -> None:
        """Tell one line to those who follow."""
        line = orjson.dumps(
            {
                "at": instant(self._clock.wall()),
                "lane": self.name,
                "session": session,
                "host": host,
                "address": address,
                "direction": direction,
                "text": text if len(text) <= _TEXT_MAX else f"{text[:_TEXT_MAX]} [{len(text) - _TEXT_MAX:,} more]",
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for follower in self.followers:
            follower.hear(line)

    def join(self, followers: tuple[Follower, ...]) -> None:
        """Tell those from now on who want to hear of this lane."""
        self.followers = tuple(follower for follower in followers if follower.wants(self))
        self.followed = bool(self.followers)


class Traces:
    """All lanes, and all who follow."""

    def __init__(self) -> None:
        self.numbers = itertools.count(1)  # of sessions
        self._lanes: WeakSet[LaneTrace] = WeakSet()
        self._followers: tuple[Follower, ...] = ()

    def lane(self, name: str, site: str, clock: Clock) -> LaneTrace:
        """Make the ear of a lane."""
        lane = LaneTrace(name, site, self, clock)
        self._lanes.add(lane)
        lane.join(self._followers)
        return lane

    def follow(self, *, name: str = "", site: str = "") -> Follower:
        """Follow one lane, or all lanes to a site, also those that come later. Raises TooManyFollowersError."""
        if len(self._followers) >= FOLLOWERS_MAX:
            raise TooManyFollowersError(f"{FOLLOWERS_MAX} are following already")
        follower = Follower(name, site, self.leave)
        self._now(*self._followers, follower)
        return follower

    def leave(self, follower: Follower) -> None:
        """Tell somebody no more."""
        self._now(*(other for other in self._followers if other is not follower))

    def close(self) -> None:
        """Let everybody come to an end."""
        for follower in self._followers:
            follower.end()

    def _now(self, *followers: Follower) -> None:
        self._followers = followers
        for lane in self._lanes:
            lane.join(followers)


class Follower:
    """Somebody who follows: iterate over it for lines of JSON, several at a time; `leave` when that is over."""

    def __init__(self, name: str, site: str, leave: Callable[[Follower], None]) -> None:
        self._name = name
        self._site = site
        self._leave = leave
        self._lines: deque[bytes] = deque()
        self._left_out = 0
        self._news = asyncio.Event()
        self._over = False

    def wants(self, lane: LaneTrace) -> bool:
        """Tell whether it wants to hear of a lane."""
        return self._name == lane.name or (self._site != "" and self._site in (lane.site, lane.site.partition("+")[0]))

    def hear(self, line: bytes) -> None:
        """Take one line, if it has room for it."""
        if len(self._lines) < LINES_MAX and not self._left_out:
            self._lines.append(line)
        else:
            self._left_out += 1
        self._news.set()

    def end(self) -> None:
        """Come to an end once everything is fetched."""
        self._over = True
        self._news.set()

    def leave(self) -> None:
        """Hear no more."""
        self._leave(self)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give lines as they come."""
        while True:
            if self._lines or self._left_out:
                lines, left_out = b"".join(self._lines), self._left_out
                self._lines.clear()
                self._left_out = 0
                if left_out:
                    lines += orjson.dumps({"left_out": left_out}, option=orjson.OPT_APPEND_NEWLINE)
                yield lines
            elif self._over:
                return
            else:
                self._news.clear()
                await self._news.wait()

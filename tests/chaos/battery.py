"""Many faulty receivers before one daemon, each beside the others and beside one that is as it should be.

What holds for all of them: nothing is lost and nothing returned; nothing is repeated but what was left unanswered, and
that is counted to the last one; no connection stays; the neighbour has its mail while the others still misbehave.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.chaos.faultsink import FaultSink
from tests.scenes.world import Submission, _merged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from sender.sandbox import Receiver
    from tests.chaos.faultsink import Ledger, Script
    from tests.scenes.world import World

STAGES = (
    "connect", "banner", "ehlo", "starttls", "mail", "rcpt", "data", "block", "end_of_data", "rset", "quit",
)  # fmt: skip
_PATIENT: dict[str, Any] = {  # whoever answers late does it on purpose, however busy this machine is
    "dns": {"timeout": "5s", "lifetime": "10s"},
    "delivery": {f"{stage}_timeout": "20s" for stage in STAGES},
    "retry": {"schedule": ["100ms"]},
    "window": {"start": 2},
}
SHORT: dict[str, Any] = {"delivery": {f"{stage}_timeout": "1s" for stage in STAGES}}
_NEIGHBOURS = 10  # messages


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One receiver and what is sent to it."""

    scripts: Sequence[Script]
    messages: int = 2
    rcpts: int = 1
    size: int = 0  # bytes that are added to the content
    options: Mapping[str, Any] = field(default_factory=dict)  # of the sink


@dataclass(frozen=True)
class Sized(Submission):
    """A message with more content."""

    more: int = 0

    @property
    def content(self) -> bytes:
        """Give the message as a client sends it."""
        return super().content + (b"0123456789abcdef" * 4 + b"\r\n") * (self.more // 66)


@dataclass
class Battery:
    """A daemon before faulty receivers, by name; `neighbour` is none."""

    world: World
    sinks: dict[str, FaultSink]
    neighbour: Receiver
    faults: Mapping[str, Fault]
    sockets: int = 0

    def messages(self, name: str) -> list[Submission]:
        """Write the messages for one receiver."""
        fault = self.faults[name]
        domain = f"{domain_of_fault(name)}.test"
        written = [
            self.world.message(*(f"user{number}@{domain}" for number in range(fault.rcpts)))
            for _ in range(fault.messages)
        ]
        return [Sized(each.rcpt_tos, each.mail_from, each.identity, fault.size) for each in written]

    async def endure(self, *, at_once: bool = False) -> None:
        """Send to all of them, and wait until all have their mail and no connection is left.

        `at_once`: nothing goes before all is accepted.
        """
        world = self.world
        self.sockets = sockets()
        mail = [message for name in self.faults for message in self.messages(name)]
        submit = world.submit_at_once if at_once else world.submit
        await submit([*mail, *(world.message(f"user{each}@neighbour.test") for each in range(_NEIGHBOURS))])
        await world.until("the neighbour has its mail", lambda: self.neighbour.tally.messages == _NEIGHBOURS)
        await world.until_empty()
        await self.connections_end()
        await self.audit()

    async def connections_end(self) -> None:
        """Wait until no connection is left, at either end."""
        await self.world.until("no connection is left", lambda: sockets() <= self.sockets)

    async def audit(self) -> None:
        """Check what holds for all."""
        unknown = 0
        for name, fault in self.faults.items():
            ledger = self.sinks[name].ledger
            taken = sum(ledger.taken.values())
            assert len(ledger.taken) == fault.messages * fault.rcpts, (name, ledger)
            assert taken == len(ledger.taken), (name, ledger)  # nobody who answered 2yz gets it again
            unknown += sum(ledger.unknown.values())
        ambiguous = (await self.world.metrics()).total("sender_ambiguous_total")
        assert ambiguous == unknown, {name: sink.ledger.unknown for name, sink in self.sinks.items()}

    @property
    def ledgers(self) -> dict[str, Ledger]:
        """Give what each has got and said."""
        return {name: sink.ledger for name, sink in self.sinks.items()}

    @property
    def connections(self) -> int:
        """Count the connections to faulty receivers."""
        return sum(len(sink.visits) for sink in self.sinks.values())

    @property
    def unknown(self) -> int:
        """Count the messages whose end was left unanswered."""
        return sum(sum(ledger.unknown.values()) for ledger in self.ledgers.values())

    @property
    def figures(self) -> str:
        """Say what happened."""
        messages = sum(fault.messages for fault in self.faults.values())
        return (
            f"{len(self.faults)} faults, {messages} messages, {self.connections} connections,"
            f" {self.unknown} ambiguous (counted {self.unknown}), 0 lost, 0 returned, 0 repeated without cause"
        )


@contextlib.asynccontextmanager
async def battery(
    world: World, faults: Mapping[str, Fault], tables: dict[str, Any] | None = None
) -> AsyncIterator[Battery]:
    """Start faulty receivers, their neighbour and a daemon with short times."""
    async with contextlib.AsyncExitStack() as stack:
        neighbour = await world.site("neighbour.test")
        sinks = {}
        for number, (name, fault) in enumerate(faults.items()):
            address = f"127.0.1.{number + 1}"
            sink = FaultSink(*fault.scripts, address=(address, world.port), **fault.options)
            sinks[name] = await stack.enter_async_context(sink)
            domain = domain_of_fault(name)
            world.dns.a(f"mx.{domain}.test", address)
            world.dns.mx(f"{domain}.test", [(10, f"mx.{domain}.test")])
        await start(world, tables)
        yield Battery(world, sinks, neighbour, faults)
        await world.balance()
        await world.stop()


async def start(world: World, tables: dict[str, Any] | None = None) -> None:
    """Start a daemon that has patience with those who are slow, and none with those who have failed."""
    await world.start(_merged(_PATIENT, tables or {}))


def domain_of_fault(name: str) -> str:
    """Make a label of a domain of words."""
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-")


def sockets() -> int:
    """Count the sockets that this process has open, at both ends."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            count += str(entry.readlink()).startswith("socket:")
    return count

"""A scene for a network in which all addresses are this machine: where does the daemon connect to? Prints JSON.

Argument: a folder. See `test_d7_nobody_can_make_the_daemon_connect_to_private_addresses`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sender.spool.contract import State
from tests.scenes.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

FORBIDDEN = {
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "unspecified": ["0.0.0.0", "::"],
    "this network": ["0.1.2.3"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1", "fc00::1", "fdff::1", "fec0::1"],
    "link": ["169.254.169.254", "fe80::1"],
    "carrier": ["100.64.0.1", "100.127.255.254"],
    "mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"],
    "translated": ["64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "2002:7f00:1::1", "2002:a00:1::1"],
    "compatible": ["::127.0.0.1", "::10.0.0.1"],
    "tunnelled": ["2001:0:4136:e378:8000:63bf:80ff:fffe"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1"],
    "documentation": ["2001:db8::1", "100::1"],
}
NAMES = ["localhost", "127.1", "2130706433", "0x7f000001", "127.0.0.1", "10.0.0.1"]
PUBLIC = ["8.8.8.8", "2001:4860:4860::8888"]
_REBOUND = 20  # messages to a name that says something else each time


class Sink:
    """Takes any mail at any address of one port; counts messages by the address that was called."""

    def __init__(self) -> None:
        self.called: Counter[str] = Counter()
        self._servers: list[asyncio.Server] = []

    async def listen(self, port: int) -> None:
        """Listen everywhere."""
        for host in ("0.0.0.0", "::"):
            self._servers.append(await asyncio.start_server(self._serve, host, port))

    async def close(self) -> None:
        """Stop."""
        for server in self._servers:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.called[writer.get_extra_info("sockname")[0]] += 1
        writer.write(b"220 sink\r\n")
        while line := await reader.readline():
            if line.startswith(b"DATA"):
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
            writer.write(b"250 ok\r\n")
        writer.close()


async def _scene(folder: Path) -> dict[str, Any]:
    sink = Sink()
    async with World(folder) as world:
        await sink.listen(world.port)
        domains = _domains(world)
        await world.start(
            {
                "delivery": {"allow_private_addresses": False, "messages_per_session": 1, "idle_timeout": "0s"},
                "routes": {"origin.test": "127.0.0.9:9"},
            }
        )
        for domain in domains:
            await world.send(f"user@{domain}", mail_from="")
        public = [await world.send(f"user@{address.count(':')}.public.test", mail_from="") for address in PUBLIC]
        for number in range(_REBOUND):
            world.dns.a("rebind.test", *(["8.8.8.8"] if number % 2 else ["127.0.0.1"]), ttl=0)
            await world.send("user@rebind.test", mail_from="")
        await world.until("all are decided", lambda: not world.books().waiting)
        states = world.books().states
        await world.balance()
    await sink.close()
    return {
        "forbidden": len(domains),
        "public": len(public),
        "rebound": _REBOUND,
        "called": sink.called,
        "bounced": states[State.BOUNCED],
        "delivered": states[State.DELIVERED],
    }


def _domains(world: World) -> Sequence[str]:
    """Make a domain for each address and name; give them, and their literals."""
    domains = []
    for kind, addresses in FORBIDDEN.items():
        for number, address in enumerate(addresses):
            domain = f"{number}.{kind.replace(' ', '-')}.test"
            world.dns.mx(domain, [(10, f"mx.{domain}")])
            (world.dns.aaaa if ":" in address else world.dns.a)(f"mx.{domain}", address)
            domains += [domain, f"[IPv6:{address}]" if ":" in address else f"[{address}]"]
    for number, name in enumerate(NAMES):
        domain = f"{number}.name.test"
        world.dns.mx(domain, [(10, name)])
        domains.append(domain)
    world.dns.a("localhost", "127.0.0.1")
    for address in PUBLIC:
        (world.dns.aaaa if ":" in address else world.dns.a)(f"{address.count(':')}.public.test", address)
    return domains


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_scene(Path(sys.argv[1])))))

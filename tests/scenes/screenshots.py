"""Make the pictures of the console that stand in the README: `python -m tests.scenes.screenshots [FOLDER]`.

A daemon delivers to receivers with all kinds of trouble; some of its mail is hours old.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from sender.clock import Clock
from sender.core.selection import Kind, Selection
from sender.sandbox import Behaviour
from tests.scenes.browser import NARROW, Visitor, launched
from tests.scenes.world import World

_FOLDER = Path(__file__).parents[2] / "deploy" / "screenshots"
_BLOCKS = "421 4.7.0 [TS01] Messages from {peer} temporarily deferred due to unexpected volume or user complaints"
_TABLES = {
    "hostname": "mta1.shop.example",
    "retry": {"schedule": ["30m", "2h", "8h"], "max_age": "3d"},
    "delivery": {"connect_backoff": "5m", "connect_backoff_max": "10m"},
    "window": {"max": 50},
    "spool": {"min_free": "1MiB"},
}
_LIVE_S = 18.0
_COLOURS = 256
_BACKLOG = 2500  # recipients that wait, at most


async def _receivers(world: World) -> None:
    await world.site("bigmail.example", Behaviour(name="mx.bigmail.example", max_sessions=3, accept_delay_s=0.05))
    await world.site("webmail.example", Behaviour(name="mx.webmail.example", max_sessions=8, accept_delay_s=0.1))
    await world.site("fast.example", Behaviour(name="mx.fast.example", accept_delay_s=0.02))
    await world.site("cautious.example", Behaviour(name="mx.cautious.example", greylist_s=3600))
    await world.site("university.example", Behaviour(name="mx.university.example", full_prefixes=("user",)))
    blocks = Behaviour(name="mx.blocking.example", max_sessions=0, refuse_with=_BLOCKS)
    await world.site("blocking.example", blocks)
    world.dns.mx("gone.example", [(10, "mx.gone.example")])
    world.dns.a("mx.gone.example", "127.0.0.250")
    await world.site("held.example")


async def _submit(world: World, domain: str, count: int) -> None:
    await world.submit([world.message(f"user{number}@{domain}") for number in range(count)])


async def _earlier(world: World) -> None:
    """Let mail of some hours ago wait."""
    for ago_s, scale in ((5 * 3600, 1), (2 * 3600, 2), (1500, 2), (500, 3)):
        world.clock = Clock(wall=lambda ago_s=ago_s: time.time() - ago_s)  # type: ignore[misc]
        await world.start(_TABLES)
        control = world.daemon.control
        assert control is not None
        if ago_s == 5 * 3600:
            await control.suspend(Selection(Kind.SITE, "mx.held.example"), for_s=6 * 3600, reason="they move (anna)")
        for domain, count in (("cautious.example", 40), ("university.example", 17), ("gone.example", 9)):
            await _submit(world, domain, count * scale)
        await _submit(world, "held.example", 12)
        await asyncio.sleep(1.0)
        await world.stop(drain_s=1)
    world.clock = Clock()


async def _now(world: World) -> tuple[str, asyncio.Task[None]]:
    """Let mail flow to receivers that limit it; give the id of a message that waits, and what lets it flow."""
    await world.start(_TABLES)
    await _submit(world, "blocking.example", 60)
    (waits,) = await world.submit(
        [world.message(*(f"{name}@university.example" for name in ("user1", "user2", "dean")))]
    )
    flow = asyncio.create_task(_flow(world))
    await asyncio.sleep(_LIVE_S / 6)
    big = world.receivers["mx.bigmail.example"]
    big.behaviour = dataclasses.replace(big.behaviour, max_sessions=12)
    await asyncio.sleep(_LIVE_S * 5 / 6)
    return waits, flow


async def _flow(world: World) -> None:
    while True:
        waiting = world.books().waiting
        for domain, count in (("bigmail.example", 150), ("webmail.example", 60), ("fast.example", 60)):
            await _submit(world, domain, count if waiting < _BACKLOG else 1)
        await asyncio.sleep(0.2)


async def _shoot(world: World, message_id: str, folder: Path) -> None:
    lane = "/lanes/default/mx.bigmail.example"
    wide, low = {"width": 1280, "height": 860}, {"width": 1280, "height": 700}
    async with launched() as browser:
        for name, address, scheme, size in (
            ("lanes", "/", "light", wide),
            ("lane", lane, "dark", wide),
            ("queue", "/queue", "light", low),
            ("message", f"/messages/{message_id}", "light", low),
            ("narrow", "/", "dark", NARROW),
        ):
            visitor = Visitor(browser, world.http_port)
            await visitor.arrive(viewport=size, color_scheme=scheme)
            await visitor.go(address)
            if address == lane and size is not NARROW:
                await visitor.page.locator(".chart .mark").first.focus()
            path = folder / f"{name}.png"
            await visitor.page.screenshot(path=path)
            _make_small(path)
            await visitor.leave()


def _make_small(path: Path) -> None:
    """Keep as many colours as there are shades in a page."""
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(_COLOURS, Image.Quantize.MAXCOVERAGE)
    small.save(path, optimize=True)


async def _run(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        async with World(Path(scratch)) as world:
            await _receivers(world)
            await _earlier(world)
            message_id, flow = await _now(world)
            await _shoot(world, message_id, folder)
            flow.cancel()
            await asyncio.gather(flow, return_exceptions=True)
            await world.stop(drain_s=0)


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1]) if len(sys.argv) > 1 else _FOLDER))

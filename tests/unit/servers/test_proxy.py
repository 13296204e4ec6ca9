"""The way that takes time."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from random import Random

import pytest

from tests.servers.process import LOOPBACK, free_port
from tests.servers.proxy import DelayProxy

PATIENCE_S = 10.0
WAY_S = 0.005


@pytest.fixture
async def echo() -> AsyncIterator[tuple[str, int]]:
    """Give a server that sends back what it gets, and closes when the other side has."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write(b"the end")
        writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    yield server.sockets[0].getsockname()[:2]
    server.close()


async def test_every_byte_arrives_in_its_order_in_both_directions(echo: tuple[str, int]) -> None:
    """Pieces of any size, from several visitors at once, come out as they went in; the end comes behind them."""

    async def visit(seed: int) -> None:
        random = Random(seed)
        pieces = [random.randbytes(random.choice((1, 10, 5000, 300_000))) for _ in range(20)]
        reader, writer = await asyncio.open_connection(*proxy.address)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        writer.write_eof()
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.read() == b"".join(pieces) + b"the end"
        writer.close()

    async with DelayProxy(echo, WAY_S) as proxy:
        await asyncio.gather(*map(visit, range(4)))
        assert proxy.connections == 4


async def test_what_is_sent_takes_the_way_there_and_back(echo: tuple[str, int]) -> None:
    """An echo needs a whole round trip by the clock of the loop, and pieces that follow each other share it."""
    loop = asyncio.get_running_loop()
    async with DelayProxy(echo, 0.02) as proxy:
        reader, writer = await asyncio.open_connection(*proxy.address)
        sent_at = loop.time()
        for _ in range(10):
            writer.write(b"x")
            await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.readexactly(10) == b"x" * 10
        assert loop.time() - sent_at >= 0.04
        writer.close()


@pytest.mark.parametrize("reset", [False, True])
async def test_a_visitor_that_leaves_leaves_no_connection_behind(echo: tuple[str, int], *, reset: bool) -> None:
    """When a visitor closes or resets, both ends are closed."""
    async with DelayProxy(echo, WAY_S) as proxy:
        reader, writer = await asyncio.open_connection(*proxy.address)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        if reset:
            link = writer.get_extra_info("socket")
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        async with asyncio.timeout(PATIENCE_S):
            while proxy._directions:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.001)


async def test_a_target_that_is_not_there_is_told_by_the_end() -> None:
    """Where nobody listens the visitor is cut off."""
    async with DelayProxy((LOOPBACK, free_port()), WAY_S) as proxy:
        reader, writer = await asyncio.open_connection(*proxy.address)
        with suppress(ConnectionResetError):
            async with asyncio.timeout(PATIENCE_S):
                assert await reader.read() == b""
        writer.close()

"""Faults: ours never cost the client a message, and the client's never leave half of one."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.chaos.scale import scaled
from tests.dialogs.client import PATIENCE_S, Client, codes
from tests.dialogs.peer import until

from .conftest import MakeHouse
from .house import House

BIG = b"Subject: x\r\n\r\n" + b"0123456789abcde\r\n" * 40_000  # three blocks


async def fill(house: House) -> int:
    """Leave the spool a few pages of room; give the limit before."""
    connection = house.spool._connection
    (limit,) = connection.execute("PRAGMA max_page_count").fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    await asyncio.to_thread(connection.execute, f"PRAGMA max_page_count = {pages + 8}")
    return int(limit)


@pytest.mark.parametrize("content", [b"0123456789abcd\r\n" * 9_000, BIG], ids=["one block", "many blocks"])
async def test_a2_a_full_disk_is_transient_and_keeps_nothing(house: House, content: bytes) -> None:
    """A spool that cannot take the message is answered 452, without a word of ours, and the session goes on."""
    async with Client(house.port) as client:
        await client.greet()
        assert (await client.deliver()).startswith("250 ")
        limit = await fill(house)
        reply = await client.deliver(content)
        assert reply == "452 4.3.1 Cannot store the message now, try again later"
        await asyncio.to_thread(house.spool._connection.execute, f"PRAGMA max_page_count = {limit}")
        assert (await client.deliver(content)).startswith("250 ")
    assert await house.contents() == [b"Subject: x\r\n\r\nhello\r\n", content]
    assert house.spool._connection.execute("SELECT count(DISTINCT message_id) FROM blocks").fetchone()[0] <= 1


async def test_a2_a_spool_that_is_closed_is_transient(house: House) -> None:
    """Where there is no spool any more the client keeps its message."""
    async with Client(house.port) as client:
        await client.greet()
        await house.close_spool()
        assert (await client.deliver()).startswith("452 4.3.1 ")
        assert (await client.deliver(BIG)).startswith("452 4.3.1 ")


async def test_a2_a3_a_fault_of_ours_is_transient_and_forgets_the_envelope(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong here is answered 451 with a reference that the log explains; DATA needs a new envelope."""
    async with Client(house.port) as client:
        await client.greet()
        monkeypatch.setattr(house.spool, "_insert", lambda *_: (_ for _ in ()).throw(RuntimeError("secret /path")))
        reply = await client.deliver()
        assert reply.startswith("451 4.3.0 ")
        assert "secret" not in reply
        assert reply.rpartition(" ")[2] in caplog.text
        assert "secret /path" in caplog.text
        assert codes(await client.say("DATA")) == ["503"]
        monkeypatch.undo()
        assert (await client.deliver()).startswith("250 ")
    assert len(await house.taken()) == 1


@pytest.mark.parametrize("politely", [True, False])
@pytest.mark.parametrize("content", [b"Subject: x\r\n\r\nhello\r\n", BIG], ids=["small", "big"])
async def test_c7_a_client_that_goes_away_leaves_a_whole_message_or_none(
    house: House, content: bytes, *, politely: bool
) -> None:
    """Wherever the connection ends, what is in the spool is whole, and what was answered 250 is in the spool."""
    wire, attempts = content + b".\r\n", scaled(60, 500)
    for attempt in range(attempts):
        cut = len(wire) - max(0, attempt % 13 - 4)  # the last eight bytes, and often none are missing
        async with Client(house.port) as client:
            await client.greet()
            await client.begin()
            client.send(wire[:cut])
            await client.writer.drain()
            await asyncio.sleep((0.004 if content is BIG else 0.0005) * (attempt % 7))  # at many points
            if politely:
                client.writer.write_eof()
                reply = await client.reply()
                if reply:
                    assert reply.startswith("250 ")
                    assert await house.has(reply)
            else:
                client.reset()
        await until(lambda: not house.listener._admission._connections)
    await until(lambda: not house.acceptance._commits)
    contents = await house.contents()
    assert set(contents) <= {content}
    assert 0 < len(contents) <= attempts


@pytest.mark.parametrize("content", [b"Subject: x\r\n\r\nhello\r\n", BIG], ids=["small", "big"])
@pytest.mark.parametrize("politely", [True, False])
async def test_a4_a_client_that_goes_away_during_the_commit_does_not_undo_it(
    house: House, content: bytes, *, politely: bool
) -> None:
    """A commit that has begun ends, and every block of its message stays."""
    commits = house.acceptance._commits
    for _ in range(20):
        async with Client(house.port) as client:
            await client.greet()
            await client.begin()
            client.send(content + b".\r\n")
            async with asyncio.timeout(PATIENCE_S):
                while not commits:  # noqa: ASYNC110 - the moment between two turns of the loop is what is tested
                    await asyncio.sleep(0)
            client.writer.write_eof() if politely else client.reset()
            await until(lambda: not house.listener._admission._connections)
        await until(lambda: not commits)
    assert await house.contents() == [content] * 20


async def test_too_many_connections_are_sent_away(make_house: MakeHouse) -> None:
    """Connections beyond the limits, of one address and of all, get 421; who leaves makes room."""
    house = await make_house(max_connections=3, max_connections_per_address=2)
    async with Client(house.port) as one, Client(house.port) as two, Client(house.port, "127.0.0.2") as three:
        for client in (one, two, three):
            assert (await client.reply()).startswith("220 ")
        for source in ("127.0.0.1", "127.0.0.2"):
            async with Client(house.port, source) as client:
                assert (await client.reply()).startswith("421 4.7.0 ")
                assert await client.reply() == ""
        assert codes(await three.say("QUIT")) == ["221"]
        await until(lambda: len(house.listener._admission._connections) == 2)
        async with Client(house.port) as client:
            assert (await client.reply()).startswith("421 4.7.0 ")
        async with Client(house.port, "127.0.0.3") as client:
            assert (await client.reply()).startswith("220 ")


async def test_a17_silence_between_commands_ends_with_421(make_house: MakeHouse) -> None:
    """A client that says nothing is told why it is disconnected."""
    house = await make_house(command_timeout="60ms")
    async with Client(house.port) as client:
        await client.greet()
        assert (await client.reply()).startswith("421 4.4.2 ")
        assert await client.reply() == ""
    await until(lambda: not house.listener._admission._connections)


async def test_a5_the_time_within_the_content_counts_from_the_last_bytes(make_house: MakeHouse) -> None:
    """An upload that goes on may take longer than its timer; one that stops is told so, and leaves nothing."""
    house = await make_house(command_timeout="200ms", block_timeout="200ms", min_data_rate="1B")
    async with Client(house.port) as client:
        await client.greet()
        await client.begin()
        for _ in range(12):
            client.send(b"slowly\r\n")
            await asyncio.sleep(0.04)
        client.send(b".\r\n")
        assert (await client.reply()).startswith("250 ")
        await client.begin()
        client.send(b"never to its end\r\n")
        assert (await client.reply()).startswith("421 4.4.2 ")
        assert await client.reply() == ""
    assert await house.contents() == [b"slowly\r\n" * 12]


async def test_i8_a_client_that_reads_no_reply_is_cut_off(make_house: MakeHouse) -> None:
    """A client that sends commands and takes no answer loses its connection when its time is over."""
    house = await make_house(command_timeout="200ms", goodbye_timeout="200ms", max_commands=10**6)
    for server in house.listener._servers:
        server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # so little waits for the client
    async with Client(house.port) as client:
        await client.reply()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        link: socket.socket = client.writer.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(b"EHLO client.test\r\n" * 20_000)
        await until(lambda: not house.listener._admission._connections)


async def test_shutting_down_finishes_what_has_begun(house: House) -> None:
    """Who is idle is sent away, nobody new is let in, and a message that is coming in is taken to its end."""
    async with Client(house.port) as idle, Client(house.port) as busy:
        await idle.greet()
        await busy.greet()
        await busy.begin()
        port = house.port
        closing = asyncio.create_task(house.listener.close(30.0))
        assert (await idle.reply()).startswith("421 4.3.2 ")
        assert await idle.reply() == ""
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection("127.0.0.1", port)
        assert not closing.done()
        busy.send(b"hello\r\n.\r\n")
        assert (await busy.reply()).startswith("250 ")
        assert (await busy.reply()).startswith("421 4.3.2 ")
        await closing
    assert await house.contents() == [b"hello\r\n"]


async def test_shutting_down_does_not_wait_for_ever(house: House) -> None:
    """A message that does not come to its end is cut off when the grace is over, and leaves nothing."""
    async with Client(house.port) as client:
        await client.greet()
        await client.begin()
        client.send(b"half")
        await house.listener.close(0.05)
        assert await client.reply() == ""
    assert await house.taken() == []

"""Receivers that break the rules, each beside a neighbour that keeps them."""

from __future__ import annotations

import asyncio
import email
import email.policy
from typing import TYPE_CHECKING

import pytest

from sender.sandbox import Behaviour
from sender.sandbox.behaviour import Answer, Close, Hang
from sender.spool.contract import State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.scenes.world import World

_SHORT = {
    f"{stage}_timeout": "300ms"
    for stage in ("connect", "banner", "ehlo", "mail", "rcpt", "data", "block", "end_of_data", "quit")
}
_SCRIPTS: dict[str, dict[str, list[Answer]]] = {
    **{
        f"hangs at {stage}": {stage: [Hang()] * 3}
        for stage in ("banner", "ehlo", "mail", "rcpt", "data", "end_of_data")
    },
    **{
        f"closes at {stage}": {stage: [Close()] * 3}
        for stage in ("banner", "ehlo", "mail", "rcpt", "data", "end_of_data")
    },
    **{f"resets at {stage}": {stage: [Close(abort=True)] * 3} for stage in ("banner", "mail", "end_of_data")},
    **{
        f"421 at {stage}": {stage: [Close(reply="421 4.4.2 Idle for too long")] * 3}
        for stage in ("ehlo", "mail", "rcpt", "data")
    },
    "stops reading the content": {"content": [Hang(deaf=True)] * 3},
    "never ends QUIT": {"quit": [Hang()] * 9},
    "refuses EHLO": {"ehlo": ["502 5.5.1 What"]},
    "503 to MAIL": {"mail": ["503 5.5.1 Nested MAIL"] * 3},
    "500 to DATA": {"data": ["500 5.5.2 What"] * 3},
    "250 to DATA": {"data": ["250 2.0.0 OK"] * 3},
    "354 to MAIL": {"mail": ["354 Go on"] * 3},
}


@pytest.mark.parametrize("script", _SCRIPTS)
async def test_a_broken_receiver_delays_its_own_mail_only(world: World, script: str) -> None:
    """Whatever a receiver does but refuse the mail itself, its mail is delivered later, and the neighbour's now."""
    broken = await world.site("broken.test", Behaviour(scripted=_SCRIPTS[script]))
    neighbour = await world.site("neighbour.test")
    await world.start({"delivery": _SHORT, "retry": {"schedule": ["100ms"]}, "window": {"start": 2}})
    await world.submit(
        [world.message(f"user{number}@{name}.test") for number in range(4) for name in ("broken", "neighbour")]
    )
    await world.until("the neighbour has its mail", lambda: neighbour.tally.messages == 4)
    await world.until_empty()
    assert world.books().states[State.DELIVERED] == 8
    assert broken.tally.messages == 4


async def _two_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer 354 with a 250 behind it, and refuse the content: to take the stray 250 for the verdict loses mail."""
    await _talk(reader, writer, data=b"354 go\r\n250 2.0.0 stray\r\n", end=b"550 5.7.1 no\r\n")


async def _mixed_codes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the content with lines of different codes."""
    await _talk(reader, writer, end=b"550-5.7.1 no\r\n250 2.0.0 yes\r\n")


async def _endless_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer RCPT with a line that does not end."""
    await _talk(reader, writer, rcpt=b"250 " + b"x" * 200_000)


async def _http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speak another protocol."""
    writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    await reader.read(100)


async def _zero_bytes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greet with binary rubbish."""
    writer.write(b"220\0\xff\xfe\r\r\n\n\0")
    await reader.read(100)


async def _chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Go on talking behind each reply."""
    await _talk(reader, writer, mail=b"250 2.1.0 ok\r\n250 2.1.0 ok again\r\n")


async def _talk(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    mail: bytes = b"250 2.1.0 ok\r\n",
    rcpt: bytes = b"250 2.1.5 ok\r\n",
    data: bytes = b"354 go\r\n",
    end: bytes = b"250 2.0.0 ok\r\n",
) -> None:
    """Speak SMTP without PIPELINING, with given replies."""
    replies = {b"EHLO": b"250 mx.rude.test\r\n", b"MAIL": mail, b"RCPT": rcpt, b"DATA": data, b"RSET": b"250 ok\r\n"}
    writer.write(b"220 mx.rude.test\r\n")
    while line := await reader.readline():
        verb = line[:4].upper()
        if verb == b"QUIT":
            writer.write(b"221 bye\r\n")
            return
        writer.write(replies.get(verb, b"500 what\r\n"))
        if verb == b"DATA":
            await reader.readuntil(b"\r\n.\r\n")
            writer.write(end)


@pytest.mark.parametrize("peer", [_two_answers, _mixed_codes, _endless_line, _http, _zero_bytes, _chatter])
async def test_what_is_no_smtp_is_never_an_answer(
    world: World, peer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> None:
    """A peer whose replies are irregular has neither taken nor refused anything: its mail waits."""
    neighbour = await world.site("neighbour.test")
    server = await asyncio.start_server(_closing(peer), "127.0.0.9", world.port)
    world.dns.a("rude.test", "127.0.0.9")
    async with server:
        await world.start({"delivery": _SHORT})
        await world.send("user@rude.test")
        await world.send("user@neighbour.test")
        await world.until("it was tried twice", lambda: world.books().most_attempts >= 2)
        await world.until("the neighbour has its mail", lambda: neighbour.tally.messages == 1)
        assert world.books().states[State.DELIVERED] == 1
        assert (await world.command("delete", "--domain", "rude.test"))[1] == "1 recipient\n"
        await world.until_empty()
        await world.stop()


async def test_the_words_of_a_receiver_are_shown_without_their_controls(world: World) -> None:
    """A refusal with control characters and wrong bytes is quoted in notice, history and events without them."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _talk(
            reader, writer, rcpt=b"550 5.1.1 \x1b[31mno\x07 \xff\xfe such\ruser \xc3\xa9\xf0\x9f\x92\xa9 \0\r\n"
        )

    inbox = await world.inbox()
    server = await asyncio.start_server(_closing(peer), "127.0.0.9", world.port)
    world.dns.a("rude.test", "127.0.0.9")
    async with server:
        await world.start({"events": {"file": "events.jsonl"}})
        message_id = await world.send("user@rude.test")
        await world.until_empty()
        code, text = await world.command("message", message_id)
        await world.stop()
    world.notices = 1
    assert code == 0
    (notice,) = inbox.arrivals
    events = (world.folder / "events.jsonl").read_text()
    for shown in (notice.content.decode().replace("\r\n", "\n"), text, events):
        assert "such" in shown
        assert not set(shown) & {chr(code) for code in range(32) if code not in (9, 10)}
    report = email.message_from_bytes(notice.content, policy=email.policy.default)
    assert report.get_content_type() == "multipart/report"


async def test_a_dead_site_does_not_slow_down_the_others(world: World) -> None:
    """Hundreds of messages for hosts that never answer take no sessions from a site that does."""
    for number in range(20):
        await world.site(f"dead{number}.test", Behaviour(scripted={"banner": [Hang()] * 1000}))
    alive = await world.site("alive.test")
    await world.start({"delivery": {"banner_timeout": "30s"}})
    dead = [world.message(f"user@dead{number % 20}.test") for number in range(200)]
    await world.submit(dead)
    await world.submit([world.message(f"user{number}@alive.test") for number in range(200)])
    await world.until("the site that answers has its mail", lambda: alive.tally.messages == 200, deadline_s=20.0)
    await world.stop(drain_s=0.1)


def _closing(
    peer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Close the connection behind a peer, however it ends."""

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await peer(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    return session

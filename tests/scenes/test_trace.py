"""Dialogues that are followed live: what is shown, what is not, and that nobody waits for who follows."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from sender.observe.traces import FOLLOWERS_MAX, LINES_MAX
from sender.sandbox import Behaviour, Close
from tests.dialogs.session.sending import server_context
from tests.scenes.processes import Served

if TYPE_CHECKING:
    from sender.observe.traces import Follower, Traces
    from tests.scenes.world import World


def _traces(world: World) -> Traces:
    return world.daemon._traces


def _followers(world: World) -> tuple[Follower, ...]:
    return _traces(world)._followers


async def _trace(world: World, *words: str, rcpt_tos: tuple[str, ...] = ("user@ok.test",)) -> str:
    """Send a message while the command follows; give what it printed when the session was over."""
    command = asyncio.create_task(world.command("trace", *words))
    await world.until("it follows", lambda: bool(_followers(world)))
    for rcpt_to in rcpt_tos:
        await world.send(rcpt_to)
    receivers = world.receivers.values()
    await world.until(
        "the sessions are over",
        lambda: all(receiver.tally.sessions_opened and not receiver.tally.sessions_open for receiver in receivers),
    )
    dispatcher = world.daemon.dispatcher
    assert dispatcher is not None
    await world.until("the daemon knows", lambda: not any(lane.sessions for lane in dispatcher.lanes.values()))
    _traces(world).close()
    code, printed = await command
    assert code == 0, printed
    assert printed.endswith("the daemon tells no more\n")
    assert not _followers(world)
    return printed.removesuffix("the daemon tells no more\n")


async def _told(world: World, *words: str, rcpt_tos: tuple[str, ...] = ("user@ok.test",)) -> list[dict[str, Any]]:
    printed = await _trace(world, "--json", *words, rcpt_tos=rcpt_tos)
    return [json.loads(line) for line in printed.splitlines()]


def _dialogue(told: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(line["direction"], line["text"]) for line in told]


async def test_a_dialogue_with_pipelining(world: World) -> None:
    """Each command and reply is one line, in the order in which they went, with lane, session, host and instant."""
    await world.site("ok.test", Behaviour(name="mx.ok.test", chunking=False))
    await world.start()
    told = await _told(world, "--site", "mx.ok.test")
    assert {(line["lane"], line["session"], line["host"], line["address"]) for line in told} == {
        ("default/mx.ok.test", 1, "mx.ok.test", "127.0.0.2")
    }
    assert [line["at"] for line in told] == sorted(line["at"] for line in told)
    dialogue = _dialogue(told)
    size = next(text for _, text in dialogue if text.startswith("MAIL")).partition("SIZE=")[2]
    assert dialogue[:3] == [
        ("note", f"connected to port {world.port}"),
        ("received", "220 mx.ok.test ESMTP sandbox"),
        ("sent", "EHLO sender.test"),
    ]
    assert ("received", "250-PIPELINING") in dialogue
    assert dialogue[dialogue.index(("sent", f"MAIL FROM:<news@origin.test> SIZE={size}")) :] == [
        ("sent", f"MAIL FROM:<news@origin.test> SIZE={size}"),
        ("sent", "RCPT TO:<user@ok.test>"),
        ("sent", "DATA"),
        ("received", "250 2.1.0 Ok"),
        ("received", "250 2.1.5 Ok"),
        ("received", "354 End data with <CR><LF>.<CR><LF>"),
        ("sent", f"[{size} bytes of content]"),
        ("sent", "."),
        ("received", "250 2.0.0 Ok: taken"),
        ("sent", "QUIT"),
        ("received", "221 2.0.0 Bye"),
        ("note", "connection ended"),
    ]
    assert "Good news" not in json.dumps(told)


async def test_a_dialogue_with_chunking(world: World) -> None:
    """Content that goes with its envelope is left out there too."""
    await world.site("ok.test")
    await world.start()
    told = await _told(world, "--domain", "ok.test")
    dialogue = _dialogue(told)
    size = next(text for _, text in dialogue if text.startswith("MAIL")).partition("SIZE=")[2]
    at = dialogue.index(("sent", "RCPT TO:<user@ok.test>"))
    assert dialogue[at + 1 : at + 3] == [("sent", f"BDAT {size} LAST"), ("sent", f"[{size} bytes of content]")]
    assert "Good news" not in json.dumps(told)


async def test_messages_behind_each_other(world: World) -> None:
    """Of an envelope behind a content every command is shown, and of the content nothing."""
    await world.site("ok.test", Behaviour(chunking=False))
    await world.start({"window": {"start": 1, "max": 1}})
    await world.command("suspend", "--all")
    command = asyncio.create_task(world.command("trace", "--json", "--lane", "mx.ok.test"))
    await world.until("it follows", lambda: bool(_followers(world)))
    await world.submit([world.message(f"user{number}@ok.test") for number in range(20)])
    await world.command("resume", "--all")
    await world.until_empty()
    _traces(world).close()
    code, printed = await command
    assert code == 0
    texts = [json.loads(line)["text"] for line in printed.splitlines() if line.startswith("{")]
    assert sum(text.startswith("RCPT TO:<user") for text in texts) == 20
    assert sum("bytes of content" in text for text in texts) == 20
    assert "news." not in printed
    assert not [text for text in texts if "hidden" in text]


async def test_encryption_is_shown(world: World) -> None:
    """Version, cipher and what the certificate is worth stand between the STARTTLS and the second EHLO."""
    await world.site("ok.test", Behaviour(tls=server_context()))
    await world.start()
    dialogue = _dialogue(await _told(world, "--site", "mx.ok.test"))
    at = dialogue.index(("sent", "STARTTLS"))
    assert dialogue[at + 1][1].startswith("220 ")
    note, text = dialogue[at + 2]
    assert (note, text.startswith("encrypted by TLSv1.3, TLS_"), text.endswith("; certificate not verified")) == (
        "note",
        True,
        True,
    )
    assert dialogue[at + 3] == ("sent", "EHLO sender.test")


async def test_what_is_no_smtp_is_shown_without_harm(world: World) -> None:
    """Binary junk is one line for people, without a byte that a terminal would obey; lines are aligned."""
    junk = "\udcff\udcfe\x00\x1b[2J\x07\x9b31m\u202e no SMTP"
    await world.site("ok.test", Behaviour(scripted={"banner": [junk, Close()]}))
    await world.start()
    printed = await _trace(world, "--site", "mx.ok.test")
    assert "< \\xff\\xfe\\x00\\x1b[2J\\x07\\x9b31m\\u202e no SMTP" in printed
    assert "* no session: " in printed
    assert [character for character in printed if not (character.isprintable() or character == "\n")] == []
    lines = printed.splitlines()
    columns = [next(place for place, mark in enumerate(line) if mark in "<>*") for line in lines]
    assert len(set(columns)) == 1
    assert columns


async def test_only_what_is_asked_for_is_shown(world: World) -> None:
    """Other lanes go unheard; one that comes later is heard."""
    await world.site("ok.test")
    await world.site("other.test")
    await world.start()
    told = await _told(world, "--lane", "default/mx.ok.test", rcpt_tos=("user@other.test", "user@ok.test"))
    assert {line["lane"] for line in told} == {"default/mx.ok.test"}


class _Reader:
    """A client that follows, and reads when it is told to."""

    def __init__(self, port: int, path: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._connection.request("GET", path)
        self.response = self._connection.getresponse()

    def line(self) -> dict[str, Any]:
        """Read one line."""
        return dict(json.loads(self.response.readline()))

    def close(self) -> None:
        """Go away."""
        self.response.close()
        self._connection.close()


async def _until_gone(world: World) -> None:
    await world.until("nobody follows", lambda: not _followers(world))
    assert not any(lane.followed for lane in _traces(world)._lanes)


async def test_a_slow_follower_holds_nothing_up_and_is_told_what_it_missed(world: World) -> None:
    """Mail is delivered though the follower reads nothing; then it reads how many lines were left out."""
    await world.site("ok.test")
    await world.start()
    reader = await asyncio.to_thread(_Reader, world.http_port, "/v1/traces?site=mx.ok.test")
    (follower,) = _followers(world)
    while not follower._left_out:  # until neither the sockets nor the queue have room
        lane = next(iter(_traces(world)._lanes), None)
        if lane is None:
            await world.send("user@ok.test")
            await world.until_empty()
            continue
        for _ in range(LINES_MAX):
            lane.hear(1, "mx.ok.test", "127.0.0.2", "sent", "x" * 500)
        assert len(follower._lines) <= LINES_MAX
        await asyncio.sleep(0)
    await world.submit([world.message(f"user{number}@ok.test") for number in range(20)])
    await world.until_empty()

    def read() -> int:
        while "left_out" not in (told := reader.line()):
            pass
        return int(told["left_out"])

    assert await asyncio.to_thread(read) > 20
    reader.close()
    await _until_gone(world)


async def test_who_goes_away_is_forgotten_at_once(world: World) -> None:
    """A follower that leaves while there is nothing to tell leaves nothing behind."""
    await world.site("ok.test")
    await world.start()
    await world.send("user@ok.test")
    await world.until_empty()
    reader = await asyncio.to_thread(_Reader, world.http_port, "/v1/traces?lane=mx.ok.test")
    assert len(_followers(world)) == 1
    reader.close()
    await _until_gone(world)


async def test_only_so_many_may_follow(world: World) -> None:
    """One more is refused, until another has gone; a length that is given ends by itself."""
    await world.start()
    path = "/v1/traces?site=mx.ok.test"
    readers = [await asyncio.to_thread(_Reader, world.http_port, path) for _ in range(FOLLOWERS_MAX)]
    status, body = await world.get(path)
    assert (status, json.loads(body)["error"]) == (503, "unavailable")
    for reader in readers:
        reader.close()
    await _until_gone(world)
    assert await world.get(f"{path}&for=50ms") == (200, b"")
    await _until_gone(world)


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("", "exactly one of domain, lane, site must be given"),
        ("site=a&lane=b", "exactly one of domain, lane, site must be given"),
        ("site=a&for=1", "for: must be a duration such as"),
        ("domain=%40", "domain: "),
        ("domain=nowhere.test", "no lane carries nowhere.test now: "),
    ],
)
async def test_what_cannot_be_followed_is_refused(world: World, query: str, detail: str) -> None:
    """A call says which one lane, site or domain, and a domain must have a way."""
    await world.start()
    status, body = await world.get(f"/v1/traces?{query}")
    assert status == 422
    assert json.loads(body)["detail"].startswith(detail)


async def test_the_command_says_what_is_wrong(world: World) -> None:
    """Without a daemon, and with a length that is none, it ends with a sentence."""
    world.configure()
    code, printed = await world.command("trace", "--site", "mx.ok.test", "--for", "soon")
    assert (code, printed.startswith('command line: --for = "soon": must be a duration')) == (2, True)
    code, printed = await world.command("trace", "--site", "mx.ok.test")
    assert (code, "does not answer" in printed) == (1, True)


async def test_a_stop_ends_those_who_follow(world: World) -> None:
    """A daemon that stops is not held up by them, and tells them of its last QUIT."""
    await world.site("ok.test")
    async with Served(world.configure({"delivery": {"idle_timeout": "1m"}})) as served:
        await served.ready()
        reader = await asyncio.to_thread(_Reader, world.http_port, "/v1/traces?site=mx.ok.test")
        await world.send("user@ok.test")
        texts: list[str] = []
        await asyncio.to_thread(_read_until, reader, texts, "250 2.0.0")
        served.signal(signal.SIGTERM)
        await asyncio.to_thread(_read_until, reader, texts, "connection ended")
        assert await served.ended(deadline_s=10.0) == 0, served.log
        assert "QUIT" in texts
        assert "ERROR" not in served.log
        reader.close()


def _read_until(reader: _Reader, texts: list[str], words: str) -> None:
    while not texts or words not in texts[-1]:
        texts.append(reader.line()["text"])

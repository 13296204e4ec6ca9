"""A session reads no more than it can answer."""

from __future__ import annotations

from sender.sandbox import Behaviour, Hang
from sender.sandbox.behaviour import Answer
from sender.sandbox.office import Office
from sender.sandbox.session import Session

from .wire import Wire


def connect(behaviour: Behaviour) -> tuple[Session, Wire]:
    """Give a session with this behaviour, and its wire."""
    session = Session(Office(behaviour), opened=lambda _: None, closed=lambda _: None)
    wire = Wire()
    session.connection_made(wire)
    return session, wire


def scripted(answer: Answer) -> Behaviour:
    """Answer NOOPs as ever, and RSET like this."""
    return Behaviour(scripted={"rset": [answer]})


async def test_a_peer_that_does_not_read_is_not_read() -> None:
    """A session stops reading while its replies do not leave, and goes on when they do."""
    session, wire = connect(Behaviour())
    seen = []
    for change in (session.pause_writing, session.resume_writing):
        change()
        seen.append(wire.is_read)
    assert seen == [False, True]


async def test_too_many_replies_under_way_stop_the_reading() -> None:
    """A session with latency stops reading when a thousand replies are under way."""
    session, wire = connect(Behaviour(latency_s=3600.0))
    seen = []
    for count in (900, 200):
        for _ in range(count):
            session.data_received(b"NOOP\r\n")
        seen.append(wire.is_read)
    assert seen == [True, False]
    assert wire.written == b""
    session.connection_lost(None)


async def test_a_deaf_session_reads_no_more() -> None:
    """A deaf Hang stops the reading for good, another Hang does not."""
    deaf, deaf_wire = connect(scripted(Hang(deaf=True)))
    idle, idle_wire = connect(scripted(Hang()))
    for session in (deaf, idle):
        session.data_received(b"RSET\r\n")
        session.pause_writing()
        session.resume_writing()
    assert (deaf_wire.is_read, idle_wire.is_read) == (False, True)


async def test_all_replies_to_one_read_leave_together() -> None:
    """Commands that arrive together are answered in one write."""
    session, wire = connect(Behaviour())
    writes: list[bytes] = []
    wire.write = lambda data: writes.append(bytes(data))  # type: ignore[method-assign] # to tell writes apart
    session.data_received(b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nBDAT 1 LAST\r\nxNOOP\r\nQUIT\r\n")
    assert len(writes) == 1
    assert writes[0].count(b"250 ") == 5
    assert not wire.is_open


async def test_a_lost_connection_is_counted_once() -> None:
    """A session that is told twice of its end ends once."""
    ended: list[Session] = []
    office = Office(Behaviour())
    session = Session(office, opened=lambda _: None, closed=ended.append)
    session.connection_made(Wire())
    session.connection_lost(None)
    session.connection_lost(ConnectionResetError())
    assert ended == [session]
    assert (office.tally.lost, office.tally.sessions_open) == (1, 0)

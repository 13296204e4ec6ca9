"""Replies leave in order, each when its time has come."""

from __future__ import annotations

import pytest

from sender.sandbox.outgoing import Outgoing

from .clock import TimerLoop
from .wire import Wire


@pytest.fixture
def loop() -> TimerLoop:
    """Give timers that only the test moves."""
    return TimerLoop()


def test_without_delay_a_reply_leaves_at_once(loop: TimerLoop) -> None:
    """A reply that nothing keeps back is written before send returns."""
    wire = Wire()
    Outgoing(loop, wire).send(b"now")
    assert wire.written == b"now"


def test_the_way_is_parallel(loop: TimerLoop) -> None:
    """Two replies sent together are on the way together."""
    wire = Wire()
    out = Outgoing(loop, wire)
    out.send(b"a", way_s=5.0)
    out.send(b"b", way_s=5.0)
    loop.pass_s(4.9)
    assert wire.written == b""
    loop.pass_s(0.2)
    assert wire.written == b"ab"


def test_work_is_serial(loop: TimerLoop) -> None:
    """A second piece of work begins when the first is done, and what follows waits for both."""
    wire = Wire()
    out = Outgoing(loop, wire)
    out.send(b"a", work_s=2.0)
    out.send(b"b", work_s=2.0)
    out.send(b"c")
    loop.pass_s(2.1)
    assert wire.written == b"a"
    loop.pass_s(2.0)
    assert wire.written == b"abc"


def test_an_act_waits_for_the_replies_before_it(loop: TimerLoop) -> None:
    """What is to be done afterwards is done afterwards, and later replies come after it."""
    wire = Wire()
    out = Outgoing(loop, wire)
    out.send(b"a", way_s=1.0)
    out.then(lambda: wire.write(b"!"))
    out.send(b"b", way_s=0.0)
    assert (wire.written, out.backlog) == (b"", 3)
    loop.pass_s(1.1)
    assert (wire.written, out.backlog) == (b"a!b", 0)
    out.then(lambda: wire.write(b"?"))
    assert wire.written == b"a!b?"


def test_a_shorter_way_does_not_overtake(loop: TimerLoop) -> None:
    """A reply never leaves before the one that was sent before it, whatever has changed since."""
    wire = Wire()
    out = Outgoing(loop, wire)
    out.send(b"a", way_s=5.0)
    out.send(b"b", way_s=1.0)
    loop.pass_s(4.0)
    assert wire.written == b""
    loop.pass_s(1.5)
    assert wire.written == b"ab"


def test_what_is_dropped_never_leaves(loop: TimerLoop) -> None:
    """After drop nothing that was under way is sent."""
    wire = Wire()
    out = Outgoing(loop, wire)
    out.send(b"a", way_s=1.0)
    out.drop()
    loop.pass_s(9.0)
    assert (wire.written, out.backlog) == (b"", 0)

"""The table of crash points: where each is, what leads there, and what may be left of it.

At every point nothing may be lost. Where `repeats` is not 0, the answer to a final dot may be unknown, and one
transaction may be repeated. `held`: an exception there leaves the message to an operator, since the receiver may have
taken it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Scene(StrEnum):
    """What a daemon does when it comes to a point."""

    MAIL = "it takes mail and delivers, defers and bounces it"
    BATCH = "it takes messages over HTTP, with a key"
    FAILING = "the database refuses outcomes for a while"
    COMMANDS = "an operator suspends, resumes, and removes"
    AFTER_KILL = "it begins after one that was killed with mail in hand"
    AFTER_FAILING = "it begins after one that was killed while the database refused outcomes"
    AGED = "it begins with mail that has waited too long"
    ENDED = "it begins with mail that has ended long ago"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One instant."""

    name: str
    target: str
    after: bool = False
    nth: int = 1
    scene: Scene = Scene.MAIL
    repeats: int = 0
    held: bool = False


def _around(name: str, target: str, *, scene: Scene = Scene.MAIL, nth: int = 1, repeats: int = 0) -> list[Point]:
    return [
        Point(name=f"before {name}", target=target, scene=scene, nth=nth, repeats=repeats),
        Point(name=f"after {name}", target=target, after=True, scene=scene, nth=nth, repeats=repeats),
    ]


_SPOOL = "sender.spool.sqlite:SqliteSpool."
_CLAIMS = "sender.spool.claims:"

POINTS = (
    # accepting
    *_around("a block is kept", f"{_SPOOL}put_block"),
    *_around("a message is written", "sender.spool.accepting:insert", nth=2),
    Point(name="before a message is given to the spool", target=f"{_SPOOL}accept", nth=2),
    Point(name="after its commit, before 250", target=f"{_SPOOL}accept", after=True, nth=2),
    Point(name="before the event of it", target="sender.observe.events:Events.write"),
    *_around("a receipt is written", "sender.spool.receipts:write", scene=Scene.BATCH),
    Point(name="after a commit over HTTP, before 202", target=f"{_SPOOL}accept", after=True, scene=Scene.BATCH),
    # every commit
    Point(name="before a commit", target="sender.spool.totals:add", nth=4),
    Point(name="after the last statement of a commit", target="sender.spool.totals:add", after=True, nth=4),
    Point(name="after a commit, in the thread", target=f"{_SPOOL}_after_commit", nth=4),
    Point(name="after a commit, before anybody hears", target="sender.spool.writer:Writer._answer", nth=4),
    # claiming
    *_around("the statements of a claim", f"{_CLAIMS}claim", nth=2),
    *_around("a claim", f"{_SPOOL}claim", nth=2),
    # delivering
    Point(name="before a connection", target="sender.engine.dialing:Dialing.contact", nth=2),
    Point(name="connected", target="sender.engine.lane:Lane.connected", nth=2),
    Point(name="in hand", target="sender.spool.hands:Hands.take", after=True, nth=2),
    Point(name="before a transaction", target="sender.smtp.session:Session.transact", nth=2),
    Point(name="after MAIL", target="sender.smtp.wire:Wire.send", after=True, nth=1),
    Point(name="after RCPT, before DATA is answered", target="sender.smtp.transaction:Transaction._rcpt_answered"),
    Point(name="amid the content", target="sender.smtp.content:DotStuffer.stuff", nth=2),
    Point(
        name="after the dot, before the reply",
        target="sender.smtp.transaction:Transaction.content_begins",
        after=True,
        nth=2,
        repeats=1,
    ),
    Point(name="reply read", target="sender.smtp.transaction:Transaction.take", nth=3, repeats=1),
    Point(name="reply understood", target="sender.engine.lane:Lane.answered", nth=2, repeats=1, held=True),
    Point(name="before it is settled", target="sender.engine.settling:Settler.settle", nth=2, repeats=1, held=True),
    Point(
        name="settled, before the commit",
        target="sender.engine.settling:Settler.settle",
        after=True,
        nth=2,
        repeats=1,
        held=True,
    ),
    Point(name="out of hand", target="sender.spool.hands:Hands.put_down", after=True, nth=2, repeats=1),
    *_around("QUIT", "sender.smtp.session:Session.quit"),
    # recording
    Point(name="before outcomes are recorded", target=f"{_SPOOL}settle", nth=2, repeats=1),
    *_around("the statements of outcomes", f"{_CLAIMS}settle", nth=2, repeats=1),
    Point(name="outcomes recorded, before their events", target="sender.observe.events:Events.append", nth=2),
    Point(
        name="outcomes recorded, before the queues hear", target="sender.engine.dispatcher:Dispatcher.recorded", nth=2
    ),
    Point(name="before a notice is written", target="sender.engine.notices:Notices.write", held=True),
    Point(name="after a notice is written", target="sender.engine.notices:Notices.write", after=True, held=True),
    # while the database fails
    *_around("a delivery is kept beside it", f"{_SPOOL}keep", scene=Scene.FAILING, repeats=1),
    Point(
        name="a delivery is kept, before it is synced",
        target="sender.spool.journal:Journal._put",
        scene=Scene.FAILING,
        repeats=1,
    ),
    *_around("what was kept is forgotten", f"{_SPOOL}forget_kept", scene=Scene.FAILING),
    # operators
    *_around("the statements of a suspension", "sender.spool.suspending:suspend", scene=Scene.COMMANDS),
    *_around("the statements of a release", f"{_CLAIMS}release", scene=Scene.COMMANDS),
    *_around("the statements of a resumption", "sender.spool.suspending:resume", scene=Scene.COMMANDS),
    *_around("a selection is claimed", f"{_CLAIMS}claim_selected", scene=Scene.COMMANDS),
    *_around("recipients are removed", "sender.engine.settling:Settler.remove", scene=Scene.COMMANDS),
    # the next process
    *_around("recovery", "sender.spool.sqlite:recover", scene=Scene.AFTER_KILL),
    Point(
        name="recovered, before its commit",
        target="sender.spool.recovery:_count_crashes",
        after=True,
        scene=Scene.AFTER_KILL,
    ),
    *_around("what was in hand is forgotten", "sender.spool.hands:Hands.forget_left", scene=Scene.AFTER_KILL),
    *_around("the queues are read", f"{_SPOOL}queues", scene=Scene.AFTER_KILL),
    *_around("kept deliveries are recorded", "sender.spool.recovery:_record", scene=Scene.AFTER_FAILING),
    *_around("kept deliveries are forgotten", "sender.spool.journal:Journal.forget", scene=Scene.AFTER_FAILING),
    # chores
    *_around("old mail is claimed", f"{_CLAIMS}claim_aged", scene=Scene.AGED),
    *_around("old mail expires", "sender.engine.settling:Settler.expire", scene=Scene.AGED),
    *_around("ended mail is purged", f"{_CLAIMS}purge", scene=Scene.ENDED),
)

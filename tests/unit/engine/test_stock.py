"""How much a lane claims ahead."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import cast

from sender.clock import Clock
from sender.core.memory import Memory
from sender.engine.delivery import Delivery
from sender.engine.limits import Limits
from sender.engine.queue import Queue
from sender.engine.restraint import Restraint
from sender.engine.sizes import Sizes
from sender.engine.stock import Stock
from sender.engine.surroundings import Surroundings
from sender.settings import RestSettings
from sender.smtp.offer import Announced
from sender.spool.contract import Claim, Priority

from .values import message, recipients

_NOW = 1000.0


class _Spool:
    """Gives as many messages as it is asked for, or one for as many recipients, and remembers how many that were."""

    def __init__(self) -> None:
        self.limits: list[int] = []
        self.of_one_message = False

    async def claim(self, queue_ids: list[int], *, limit: int, **_: object) -> Claim:
        """Claim for ever."""
        self.limits.append(limit)
        mailboxes = [f"r{number}@b.test" for number in range(limit)]
        claimed = [recipients(*mailboxes)] if self.of_one_message else [recipients(each) for each in mailboxes]
        return Claim([message(*each) for each in claimed], dict.fromkeys(queue_ids, _NOW - 1))


def _sizes(max_recipients: int = 100) -> Sizes:
    return Sizes(Limits(20, 1000, max_recipients), Memory(at=0.0), _NOW)


def _stock(sizes: Sizes | None = None) -> tuple[Stock, _Spool]:
    spool = _Spool()
    clock = Clock(wall=lambda: _NOW, steady=lambda: _NOW)
    settings = SimpleNamespace(stream=lambda _: SimpleNamespace(weight=1.0), rests=RestSettings())
    around = SimpleNamespace(clock=clock, spool=spool, settings=settings, rng=Random(1), settler=None)
    surroundings = cast("Surroundings", around)
    stock = Stock("mx.b.test", surroundings, Restraint("mx.b.test", surroundings, None), sizes or _sizes())
    stock.turns.add(Queue(7, "b.test", "default", 1, _NOW - 1, 10_000))
    return stock, spool


async def _claim(stock: Stock, at: float, *, take_meanwhile: int = 0) -> list[Delivery | None]:
    """Claim once; so many deliveries are asked for while the claim is under way."""
    queues = stock.begin_claim(_NOW + at, sessions=2)
    taken = [stock.take() for _ in range(take_meanwhile)]
    await stock.claim(queues)
    return taken


async def test_a_lane_that_ran_out_while_a_claim_was_under_way_claims_twice_as_much() -> None:
    """What is claimed ahead is to last until the next claim is answered: who found nothing tells that it did not."""
    stock, spool = _stock()
    await _claim(stock, 0.0)
    for at in (0.1, 0.2, 0.3):
        taken = await _claim(stock, at, take_meanwhile=stock.waiting + 1)
        assert taken[-1] is None
    assert spool.limits == [20, 20, 40, 80]


async def test_a_lane_that_has_enough_claims_as_much_as_before() -> None:
    """While nobody finds nothing, the next claim is not larger than the last."""
    stock, spool = _stock()
    await _claim(stock, 0.0)
    for at in (0.1, 0.2, 0.3):
        assert None not in await _claim(stock, at, take_meanwhile=stock.waiting - 1)
    assert spool.limits == [20, 20, 20, 20]


async def test_a_lane_that_rests_claims_less_again() -> None:
    """Claims that are far apart shrink to what the sessions need."""
    stock, spool = _stock()
    for at in (0.0, 0.1, 0.2):
        await _claim(stock, at)
        stock.take_all()
        stock.take()
    for at in (10.0, 20.0, 30.0, 40.0):
        await _claim(stock, at)
    assert spool.limits == [20, 40, 80, 40, 20, 10, 10]


async def test_urgent_mail_is_claimed_beside_other_mail() -> None:
    """A claim of other mail that is under way delays no urgent one; of each kind there is one at a time."""
    stock, _ = _stock()
    others = stock.begin_claim(_NOW, sessions=2)
    low = [stock.low]
    stock.turns.add(Queue(8, "b.test", "alerts", Priority.URGENT, _NOW - 1, 1))
    low.append(stock.low)
    urgent = stock.begin_claim(_NOW, sessions=2)
    stock.turns.add(Queue(9, "c.test", "alerts", Priority.URGENT, _NOW - 1, 1))
    low.append(stock.low)
    await stock.claim(urgent)
    low.append(stock.low)
    assert [queue.id for queue in urgent] == [8]
    assert low == [False, True, False, True]
    await stock.claim(others)
    assert not stock.claiming


async def test_a_message_to_many_waits_in_envelopes_of_the_size_that_holds_when_they_are_taken() -> None:
    """Each is work for a session of its own; a limit that is announced later holds for those that wait."""
    sizes = _sizes(max_recipients=4)
    stock, spool = _stock(sizes)
    spool.of_one_message = True
    await _claim(stock, 0.0)
    (claimed,) = spool.limits
    assert stock.waiting == -(-claimed // 4)
    sizes.announced(Announced(recipients=3))
    taken: list[str] = []
    while (delivery := stock.take()) is not None:
        assert len(delivery.recipients) <= 3
        taken += [recipient.rcpt_to for recipient in delivery.recipients]
    assert taken == [f"r{number}@b.test" for number in range(claimed)]

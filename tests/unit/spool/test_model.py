"""A model beside the spool: whatever is asked in whatever order, both know the same of every recipient."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sender.core.identity import id_text
from sender.core.selection import Kind, Selection
from sender.spool.contract import ClaimedMessage, FencedError, Settlement, Spool, State
from tests.chaos.scale import scaled

from .place import NOW, SITE, SqlitePlace, mail, settlements

T = TypeVar("T")
_DOMAINS = ("b.test", "c.test", "d.test")
_SITES = {"b.test": SITE, "c.test": SITE, "d.test": "mx.d.test"}
_OUTCOMES = (State.QUEUED, State.DELIVERED, State.BOUNCED, State.EXPIRED, State.REMOVED)


@dataclass(slots=True)
class Known:
    """What the model knows of one recipient."""

    message_id: int
    rcpt_to: str
    due_at: float
    state: State = State.QUEUED
    attempts: int = 0

    @property
    def domain(self) -> str:
        """Its domain."""
        return self.rcpt_to.rpartition("@")[2]


class SpoolMachine(RuleBasedStateMachine):
    """Drives one spool, one loop, and a model."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        self.place = SqlitePlace(Path(self.directory.name))
        self.now = NOW
        self.recipients: dict[tuple[int, str], Known] = {}
        self.claimed: list[ClaimedMessage] = []
        self.totals: Counter[str] = Counter()
        self.purged = 0
        self.suspended: set[int] = set()
        self.spool: Spool

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one question to its end."""
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        """Close everything."""
        self.do(self.place.close())
        self.do(self.loop.shutdown_default_executor())
        self.loop.close()
        self.directory.cleanup()

    @initialize()
    def begin(self) -> None:
        """Open an empty spool."""
        self.spool = self.do(self.place.open())
        self.do(self.spool.set_sites(_SITES))

    def of(self, message_id: int) -> list[Known]:
        """Give the model's recipients of a message."""
        return [known for known in self.recipients.values() if known.message_id == message_id]

    def take(self, claimed: list[ClaimedMessage]) -> list[Known]:
        """Note claims; each must agree with the model."""
        taken = []
        for message in claimed:
            for recipient in message.recipients:
                known = self.recipients[message.id, recipient.rcpt_to]
                assert (recipient.due_at, recipient.attempts) == (known.due_at, known.attempts)
                taken.append(known)
        self.claimed += [message for message in claimed if message.recipients]
        return taken

    @rule(
        domains=st.lists(st.sampled_from(_DOMAINS), min_size=1, max_size=4),
        delay=st.integers(0, 50),
        null=st.booleans(),
    )
    def accept(self, domains: list[str], delay: int, null: bool) -> None:  # noqa: FBT001 - Hypothesis calls by name
        """Accept a message."""
        addresses = [f"r{number}@{domain}" for number, domain in enumerate(domains)]
        message = mail(*addresses, at=self.now, due_at=self.now + delay, mail_from="" if null else "me@a.test")
        self.do(self.spool.accept(message))
        self.recipients |= {(message.id, each): Known(message.id, each, self.now + delay) for each in addresses}
        self.totals["accepted"] += len(addresses)

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.now += seconds

    @rule(domain=st.sampled_from(_DOMAINS), limit=st.integers(1, 5))
    def claim(self, domain: str, limit: int) -> None:
        """Claim what is due for one domain, with what goes the same way."""
        (queue_id, *_) = [row.id for row in self.do(self.spool.queues()) if row.domain == domain] or [0]
        site = _SITES[domain]
        claim = self.do(self.spool.claim([queue_id], site=site, now=self.now, limit=limit, byte_limit=10**9))
        taken = self.take(claim.messages)
        due = [known for known in self.recipients.values() if known.state is State.QUEUED and known.due_at <= self.now]
        mine = sorted(known.due_at for known in due if known.domain == domain)
        heads = [known for known in taken if known.domain == domain]
        assert len(heads) >= min(limit, len(mine))
        assert sorted(known.due_at for known in heads)[: min(limit, len(mine))] == mine[:limit]
        ids = {known.message_id for known in heads}
        together = [known for known in due if known.message_id in ids and _SITES[known.domain] == site]
        assert sorted(map(id, taken)) == sorted(map(id, together))
        for known in taken:
            known.state = State.CLAIMED
        queued = [each for each in self.recipients.values() if each.domain == domain and each.state is State.QUEUED]
        assert claim.next_due_at[queue_id] == min((each.due_at for each in queued), default=None)

    @rule(limit=st.integers(1, 5))
    def claim_selected(self, limit: int) -> None:
        """Claim for an operator."""
        claimed = self.do(self.spool.claim_selected(Selection(Kind.ALL), limit=limit))
        taken = self.take(claimed)
        waiting = [each for each in self.recipients.values() if each.state in {State.QUEUED, State.SUSPENDED}]
        assert len(taken) == min(limit, len(waiting))
        for known in taken:
            assert known.state in {State.QUEUED, State.SUSPENDED}
            known.state = State.CLAIMED

    @precondition(lambda self: self.claimed)
    @rule(data=st.data(), state=st.sampled_from(_OUTCOMES), delay=st.integers(0, 50), notice=st.booleans())
    def settle(self, data: st.DataObject, state: State, delay: int, notice: bool) -> None:  # noqa: FBT001
        """Record what became of one claimed message."""
        message = self.claimed.pop(data.draw(st.integers(0, len(self.claimed) - 1)))
        due_at = self.now + delay
        notices = [mail("me@a.test", at=self.now, mail_from="")] if notice and state is State.BOUNCED else []
        self.do(self.spool.settle(settlements([message], state, due_at=due_at), notices, {}, self.now))
        for recipient in message.recipients:
            known = self.recipients[message.id, recipient.rcpt_to]
            known.state, known.due_at, known.attempts = state, due_at, known.attempts + 1
            if state.ended:
                self.totals[state.word] += 1
        for each in notices:
            self.recipients[each.id, "me@a.test"] = Known(each.id, "me@a.test", self.now)
            self.totals["accepted"] += 1
        self.hold_again()

    @precondition(lambda self: self.claimed)
    @rule()
    def settle_wrongly(self) -> None:
        """Settle a claim together with one that does not exist: nothing of it counts."""
        lines: list[Settlement] = settlements(self.claimed[:1])
        with pytest.raises(FencedError):
            self.do(self.spool.settle([*lines, lines[0]._replace(recipient_id=10**9)], [mail()], {}, self.now))

    @precondition(lambda self: self.claimed)
    @rule()
    def release(self) -> None:
        """Put the first claim back."""
        message = self.claimed.pop(0)
        self.do(self.spool.release([recipient.id for recipient in message.recipients]))
        for recipient in message.recipients:
            self.recipients[message.id, recipient.rcpt_to].state = State.QUEUED
        self.hold_again()

    def hold_again(self) -> None:
        """Hold what came back of suspended messages."""
        for known in self.recipients.values():
            if known.state is State.QUEUED and known.message_id in self.suspended:
                known.state = State.SUSPENDED

    @precondition(lambda self: self.recipients)
    @rule(data=st.data())
    def suspend(self, data: st.DataObject) -> None:
        """Hold one message."""
        message_id, _ = data.draw(st.sampled_from(sorted(self.recipients)))
        selection = Selection(Kind.MESSAGE, id_text(message_id))
        _, touched = self.do(self.spool.suspend(selection, now=self.now, until=None, reason=""))
        assert touched == sum(not known.state.ended for known in self.of(message_id))
        self.suspended.add(message_id)
        self.hold_again()

    @rule()
    def resume(self) -> None:
        """Let everything go."""
        self.do(self.spool.resume(Selection(Kind.ALL), now=self.now))
        self.suspended.clear()
        for known in self.recipients.values():
            if known.state is State.SUSPENDED:
                known.state, known.due_at = State.QUEUED, min(known.due_at, self.now)

    @rule(domain=st.sampled_from(_DOMAINS))
    def retry(self, domain: str) -> None:
        """Make one domain due."""
        mine = [each for each in self.recipients.values() if each.domain == domain and each.state is State.QUEUED]
        assert self.do(self.spool.retry(Selection(Kind.DOMAIN, domain), now=self.now)) == len(mine)
        for known in mine:
            known.due_at = min(known.due_at, self.now)

    @rule()
    def crash(self) -> None:
        """Open it as the next process."""
        self.do(self.place.crash(self.spool))
        self.spool = self.do(self.place.open(now=self.now))
        self.claimed.clear()
        for known in self.recipients.values():
            if known.state is State.CLAIMED:
                known.state = State.QUEUED
        self.hold_again()

    @rule()
    def purge(self) -> None:
        """Forget what has ended."""
        ids = {known.message_id for known in self.recipients.values()}
        over = {each for each in ids if all(known.state.ended for known in self.of(each))}
        assert self.do(self.spool.purge(self.now + 1, 10**6)) == len(over)
        self.purged += sum(len(self.of(each)) for each in over)
        self.recipients = {key: known for key, known in self.recipients.items() if key[0] not in over}

    @invariant()
    def the_same(self) -> None:
        """The spool tells of every recipient what the model knows, and the totals conserve."""
        if not hasattr(self, "spool"):
            return
        for message_id in {known.message_id for known in self.recipients.values()}:
            report = self.do(self.spool.message_report(message_id))
            assert report is not None
            told = [(row["rcpt_to"], row["state"], row["attempts"]) for row in report["recipients"]]
            assert told == [(known.rcpt_to, known.state, known.attempts) for known in self.of(message_id)]
        assert +Counter(self.do(self.spool.totals())) == +self.totals
        kept = sum(not known.state.ended for known in self.recipients.values())
        assert self.totals["accepted"] == kept + sum(self.totals[state.word] for state in State if state.ended)
        waiting = [each for each in self.recipients.values() if each.state in {State.QUEUED, State.SUSPENDED}]
        rows = self.do(self.spool.queues())
        assert {row.domain: row.queued for row in rows} == Counter(known.domain for known in waiting)
        for row in rows:
            queued = [each.due_at for each in waiting if each.domain == row.domain and each.state is State.QUEUED]
            assert row.due_at == min(queued, default=float("inf"))


SpoolMachine.TestCase.settings = settings(
    max_examples=scaled(25, 1_500, soak=5_000),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


TestSpool = SpoolMachine.TestCase

"""Runs: they can be repeated, keep the invariants of a lane, and do what a scenario says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sender.core.window import Cause, Ticket
from sender.simulation.controllers import Controller, Ours, Place
from sender.simulation.generator import drawn
from sender.simulation.run import CONTROLLERS, Run, Simulation, simulate
from sender.simulation.scenario import Scenario, load, shipped
from tests.unit.simulation.values import scenario


class _Watched(Ours):
    """The product's controller under observation: no call may come that a lane would not make."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.tickets: set[Ticket] = set()
        self.watched = 0

    def opening(self, now: float) -> Ticket:
        """A session is opened where nothing forbids it, and only there."""
        assert self.obstacle(now) is None
        assert now >= self.held_until(now)
        ticket = super().opening(now)
        self.tickets.add(ticket)
        self._look()
        return ticket

    def connected(self, ticket: Ticket) -> None:
        """It is open once."""
        assert ticket in self.tickets
        assert not ticket.open
        super().connected(ticket)

    def no_session(self, ticket: Ticket, verdict: Any, now: float) -> bool:  # noqa: ANN401 - see the base
        """It is refused before it was open."""
        assert ticket in self.tickets
        assert not ticket.open
        return self._ends(ticket, super().no_session(ticket, verdict, now))

    def started(self, now: float) -> None:
        """A message is started only when one may be."""
        assert now >= self.held_until(now)
        super().started(now)

    def proven(self, ticket: Ticket, now: float) -> bool:
        """Only an open session is proven."""
        assert ticket in self.tickets
        assert ticket.open
        return super().proven(ticket, now)

    def throttle(self, ticket: Ticket, verdict: Any, now: float, *, transactions: int, usable: bool) -> bool:  # noqa: ANN401 - see the base
        """Only an open session hears of it."""
        assert ticket in self.tickets
        assert ticket.open
        ended = super().throttle(ticket, verdict, now, transactions=transactions, usable=usable)
        return self._ends(ticket, ended)

    def ended(self, ticket: Ticket, now: float, *, died: bool) -> None:
        """A ticket ends once."""
        assert ticket in self.tickets
        super().ended(ticket, now, died=died)
        self._ends(ticket, True)

    def _ends(self, ticket: Ticket, ended: bool) -> bool:  # noqa: FBT001 - as the call said
        if ended:
            self.tickets.remove(ticket)
        self._look()
        return ended

    def _look(self) -> None:
        self.watched += 1
        window = self.window
        assert window.in_use == len(self.tickets)
        assert window.unproven == sum(not ticket.proven for ticket in self.tickets)
        assert 0 <= window.unproven <= window.in_use <= window.ceiling


def _watch(watched: list[_Watched]) -> Callable[[Place], Controller]:
    def make(place: Place) -> Controller:
        watched.append(_Watched(place))
        return watched[-1]

    return make


def _stopped(chosen: Scenario) -> list[_Watched]:
    """Run a scenario under observation, then stop its lanes and wait; give the controllers that are left."""
    watched: list[_Watched] = []
    simulation = Simulation(chosen, _watch(watched), 0)
    simulation.run("ours")
    for lane in simulation.lanes:
        lane.stop()
    simulation.clockwork.run(simulation.clockwork.now + 600.0)
    running = [lane.controller for lane in simulation.lanes]
    return [controller for controller in watched if controller in running]


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_scenario_keeps_the_invariants_of_a_lane(name: str) -> None:
    """Sessions are opened only where nothing forbids it, never above the ceiling; after a stop no ticket is open."""
    chosen = load(name)
    eventful = chosen.events or chosen.receiver.changes
    watched = _stopped(chosen.model_copy(update={"duration": 1320.0 if eventful else 240.0}))
    assert all(controller.watched for controller in watched)
    assert [controller.tickets for controller in watched] == [set()] * chosen.sender.senders


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 100_000))
def test_any_receiver_leaves_the_invariants_of_a_lane(seed: int) -> None:
    """Whatever receiver is drawn."""
    chosen = drawn(seed).model_copy(update={"duration": 180.0})
    [watched] = _stopped(chosen)
    assert watched.window.in_use == 0


@pytest.mark.parametrize("controller", list(CONTROLLERS))
@pytest.mark.parametrize("name", ["badnode25", "ghosts", "shared_wave", "grey30_mis", "bursty"])
def test_a_run_can_be_repeated(name: str, controller: str) -> None:
    """The same scenario, controller and seed give the same run, to the last sample; another seed another one."""
    chosen = load(name, {"duration": "3m"})
    first, second = simulate(chosen, controller, 1), simulate(chosen, controller, 1)
    other = simulate(chosen, controller, 2)
    assert _columns(first) == _columns(second)
    assert _columns(first) != _columns(other)


def _columns(run: Run) -> list[Any]:
    record = run.records[0]
    return [record.delivered_until, record.open, record.limit, record.room, record.throttled_at, record.reasons]


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_scenario_runs_with_every_controller(name: str) -> None:
    """Mail is delivered by each, and each second has its sample."""
    chosen = load(name, {"duration": "1m"})
    for controller in CONTROLLERS:
        run = simulate(chosen, controller)
        assert run.delivered > 0
        assert run.ended_at == 60.0
        assert len(run.records[0].at) == 61


def test_a_campaign_takes_as_long_as_its_receiver_allows() -> None:
    """10,000 messages at 10 a second take 1,000 seconds, and less than a fifth more; the run ends with the last."""
    campaign = scenario(receiver={"connections": 30, "rate": "10/s"}, mail={"messages": 10_000})
    run = simulate(campaign)
    assert run.complete
    assert run.delivered == 10_000
    assert 999 < run.ended_at < 1200
    assert simulate(campaign, "oracle").ended_at <= run.ended_at


def test_a_campaign_that_takes_too_long_is_not_complete() -> None:
    """Its time may be bounded."""
    campaign = scenario(duration="1m", receiver={"connections": 1}, mail={"messages": 10_000})
    run = simulate(campaign)
    assert (run.complete, run.ended_at) == (False, 60.0)


def test_messages_that_are_never_taken_expire() -> None:
    """A campaign with a domain that takes nothing ends after the age that mail may have, three days, or twice of it."""
    campaign = scenario(
        duration="12d",
        mail={"messages": 4, "domains": 2},
        receiver={"domains": [{"number": 1, "blocked": True}], "connections": 2},
    )
    run = simulate(campaign)
    assert (run.complete, run.delivered, run.expired) == (True, 2, 2)
    assert 3 * 86400 < run.ended_at < 7 * 86400


def test_a_session_limit_is_learned() -> None:
    """After a first session that was told so, no session begins a message that would be one too many."""
    chosen = scenario(duration="5m", receiver={"connections": 3, "messages_per_connection": 10})
    watched: list[_Watched] = []
    Simulation(chosen, _watch(watched), 0).run("ours")
    assert watched[0].messages_per_session == 10


def test_a_clean_restart_begins_at_the_limit_and_leaves_nothing_behind() -> None:
    """Every session has said QUIT before the new start, so no place is counted twice."""
    watched: list[_Watched] = []
    simulation = Simulation(load("restart_clean", {"duration": "22m"}), _watch(watched), 0)
    simulation.run("ours")
    before, after = watched
    assert not before.tickets
    assert after.window.limit == before.window.limit == 40
    assert simulation.receiver.counted <= 40


def test_a_crash_begins_below_the_limit_before_ghosts() -> None:
    """The sessions that were open are counted by the receiver on, until it has given them up."""
    watched: list[_Watched] = []
    simulation = Simulation(load("restart_stale", {"duration": "1201s"}), _watch(watched), 0)
    run = simulation.run("ours")
    assert len(watched) == 2
    remembered = [change for change in run.records[0].changes if change.cause is Cause.REMEMBERED]
    assert (remembered or watched[1].window.changes)[0].after == 32
    assert simulation.receiver.counted == 40


def test_connections_that_are_cut_are_opened_again() -> None:
    """Their messages are tried again later; what the receiver still counts is left alone."""
    run = simulate(load("glitch600", {"duration": "40m"}))
    record = run.records[0]
    at_cut, after, late = record.open[1201], record.open[1260], record.open[-1]
    assert at_cut <= 1
    assert after <= 2
    assert late > 15


def test_two_senders_know_nothing_of_each_other() -> None:
    """Both deliver; together they have no more sessions than the receiver allows."""
    run = simulate(load("pair", {"duration": "30m"}))
    assert len(run.records) == 2
    assert all(record.delivered > 100 for record in run.records)
    # Both tell their sessions each second, the second one from its start.
    together = [first + second for first, second in zip(run.records[0].open[60:], run.records[1].open, strict=False)]
    assert max(together) <= 20


def test_nothing_is_begun_while_the_receiver_does_not_trust_us() -> None:
    """A block is met with a rest of many minutes; then one session is tried."""
    record = simulate(load("block", {"duration": "40m"})).records[0]
    during = record.delivered_until[2399] - record.delivered_until[1260]
    assert during == 0
    assert 1 <= sum(at > 1260 for at in record.throttled_at) <= 6

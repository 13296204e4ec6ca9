"""What others do, and who knows everything."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from sender.core.outcome import Reason, Scope
from sender.core.window import Ticket
from sender.simulation import answers
from sender.simulation.controllers import Controller, Ours, Place
from sender.simulation.oracle import Oracle
from sender.simulation.peers import Aimd, Peer, Postfix, TunedPostfix
from sender.simulation.receiver import Visit
from sender.simulation.run import CONTROLLERS, simulate
from sender.simulation.scenario import load
from tests.unit.simulation.values import let_in, message, receiver, scenario

_FULL = answers.said(Reason.CONNECTION_LIMIT, Scope.LANE)


def _place(**keys: Any) -> Place:  # noqa: ANN401 - as TOML has them
    model, clockwork = receiver(**keys)
    return Place(table=scenario().sender, receiver=model, now=clockwork.now, rng=Random(1))


def _open(peer: Peer, count: int) -> list[Ticket]:
    """Open sessions and prove them."""
    tickets = []
    for _ in range(count):
        assert peer.obstacle(0.0) is None
        ticket = peer.opening(0.0)
        peer.connected(ticket)
        peer.proven(ticket, 0.0)
        tickets.append(ticket)
    return tickets


@pytest.mark.parametrize("name", list(CONTROLLERS))
def test_tickets_are_counted_by_every_controller(name: str) -> None:
    """Sessions that end, are refused at once or at their first message are counted no more."""
    controller: Controller = CONTROLLERS[name](_place())
    first, second, third = (controller.opening(0.0) for _ in range(3))
    for ticket in (first, second):
        controller.connected(ticket)
    assert controller.proven(first, 0.0)
    assert not controller.proven(first, 0.0)
    assert controller.no_session(third, _FULL, 0.0)
    assert controller.throttle(second, _FULL, 0.0, transactions=1, usable=False)
    controller.ended(first, 0.0, died=False)
    in_use = controller.window.in_use if isinstance(controller, Ours) else vars(controller)["in_use"]
    assert in_use == 0


def test_postfix_grows_with_each_delivery_to_its_limit() -> None:
    """With positive feedback 1 each delivery is worth one session, up to 20."""
    peer = Postfix(_place())
    assert peer.limit == 5
    _open(peer, 5)
    for _ in range(5):
        peer.delivered(0.0, 1.0)
    assert peer.limit == 10  # no further than 5 beyond what is open
    _open(peer, 5)
    for _ in range(100):
        peer.delivered(0.0, 1.0)
    assert peer.limit == 15
    _open(peer, 5)
    for _ in range(100):
        peer.delivered(0.0, 1.0)
    assert peer.limit == 20


def test_postfix_shrinks_with_each_failure_and_declares_a_destination_dead() -> None:
    """The first failure costs two sessions, further ones one each; a window full of failures costs five minutes."""
    peer = Postfix(_place())
    limits = []
    for _ in range(3):
        peer.no_session(peer.opening(0.0), _FULL, 0.0)
        limits.append(peer.limit)
    assert limits == [3, 2, 0]
    assert peer.obstacle(299.0) == ("hold", 300.0)
    assert peer.obstacle(300.0) is None
    assert peer.limit == 5


def test_a_delivery_revives_a_destination_that_postfix_has_given_up() -> None:
    """Sessions that are open go on; the first delivery on one makes the window what is open."""
    peer = Postfix(_place())
    _open(peer, 2)
    for _ in range(3):
        peer.no_session(peer.opening(0.0), _FULL, 0.0)
    assert peer.obstacle(0.0) == ("hold", 300.0)
    assert peer.goes_on(1, 0.0)
    peer.delivered(1.0, 1.0)
    assert peer.limit == 2


def test_postfix_takes_no_notice_of_throttled_messages() -> None:
    """A 4yz to MAIL on a session that stays open is a success of the connection."""
    peer = Postfix(_place())
    ticket = _open(peer, 5)[0]
    verdict = answers.said(Reason.MESSAGE_RATE, Scope.LANE)
    assert not peer.throttle(ticket, verdict, 0.0, transactions=3, usable=True)
    assert peer.limit == 6


def test_postfix_may_be_tuned() -> None:
    """With feedback 1/N a window full of successes is worth one session, and ten windows full of failures are borne."""
    peer = TunedPostfix(_place())
    _open(peer, 5)
    for _ in range(5):
        peer.delivered(0.0, 1.0)
    assert peer.limit == 6
    for _ in range(12):
        peer.no_session(peer.opening(0.0), _FULL, 0.0)
    assert 1 <= peer.limit < 6


def test_a_message_that_meets_a_throttle_is_parked_by_postfix() -> None:
    """It comes back after five minutes and more; that costs a campaign its time."""
    campaign = scenario(receiver={"connections": 2}, mail={"messages": 300})
    ours, postfix = simulate(campaign), simulate(campaign, "postfix")
    assert ours.complete
    assert postfix.complete
    assert ours.ended_at < 240
    assert postfix.ended_at > 300


def test_aimd_halves_at_most_once_a_second() -> None:
    """It grows by one for a window of successes, and by less for each success than for the one before."""
    peer = Aimd(_place())
    _open(peer, 2)
    for _ in range(6):
        peer.delivered(0.0, 1.0)
    assert peer.limit == 4
    for _ in range(2):
        peer.no_session(peer.opening(0.0), _FULL, 10.0)
    assert peer.limit == 2
    peer.unexplained(message(), 11.5)
    assert peer.limit == 1


def test_aimd_leaves_a_refused_place_empty_for_a_second() -> None:
    """It would else knock as fast as refusals come."""
    peer = Aimd(_place())
    peer.no_session(peer.opening(5.0), _FULL, 5.0)
    assert peer.obstacle(5.5) == ("rest", 6.0)
    assert peer.obstacle(6.0) is None


def test_peers_end_sessions_beyond_their_limit_one_for_each() -> None:
    """When six are open and three are to stay, three of those that ask are told to end."""
    peer = Aimd(_place())
    tickets = _open(peer, 2)
    for more in (2, 2):
        for _ in range(40):
            peer.delivered(0.0, 1.0)
        tickets += _open(peer, more)
    peer.unexplained(message(), 1000.0)
    assert 0 < peer.limit < 6
    assert [peer.goes_on(1, 0.0) for _ in tickets].count(False) == 6 - peer.limit


def test_the_oracle_opens_what_is_allowed_and_no_more() -> None:
    """It counts those on their way, of whichever sender, and waits where there is no room."""
    place = _place(connections=3)
    oracles = [Oracle(place), Oracle(place)]
    let_in(place.receiver, 1)
    _open(oracles[0], 1)
    assert oracles[1].obstacle(0.0) is None
    oracles[1].opening(0.0)
    assert [oracle.obstacle(0.0) is None for oracle in oracles] == [False, False]
    for _ in range(2):
        assert place.receiver.knock(Visit()) is None


def test_the_oracle_starts_no_message_that_would_be_one_too_many() -> None:
    """It holds messages back until there is a token, and leaves domains alone that take nothing."""
    domains = [{"number": 1, "blocked": True}]
    oracle = Oracle(_place(rate="1/s", burst=1, mail_domains=2, domains=domains))
    assert oracle.held_until(0.0) == 0.0
    assert oracle.allowed is not None
    assert [oracle.allowed(domain, 0.0) for domain in (0, 1)] == [True, False]


_EXACT = (
    *("steady1", "steady2", "steady10", "steady50", "steady10_mail", "uncapped", "slow_banner", "msgs20", "fast50ms"),
    *("rise10x", "drop_kill", "jitter_svc", "knee20", "knee20_sq", "rate5", "rate_win", "rate_cap", "overload"),
)


@pytest.mark.parametrize("name", _EXACT)
def test_the_oracle_is_not_beaten_where_the_receiver_counts_exactly(name: str) -> None:
    """Nobody delivers more than it, but for what chance gives; it is refused only what was allowed a moment before."""
    changes_late, many_messages = name in {"rise10x", "drop_kill", "overload"}, name == "fast50ms"
    short = load(name, {"duration": "25m" if changes_late else "2m" if many_messages else "8m"})
    best = simulate(short, "oracle")
    assert best.throttles <= (2 if name in {"drop_kill", "overload"} else 0)
    for controller in ("ours", "postfix", "aimd"):
        assert simulate(short, controller).delivered <= 1.01 * best.delivered, controller

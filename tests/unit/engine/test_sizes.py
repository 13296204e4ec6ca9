"""How much a receiver takes at a time."""

from __future__ import annotations

from sender.core.memory import FADE_S, Memory
from sender.engine.limits import Limits
from sender.engine.sizes import Sizes
from sender.smtp.offer import Announced

_AT = 1_790_000_000.0
_LIMITS = Limits(20, 1000, 100)


def test_what_was_found_too_large_is_less_until_a_day_has_passed() -> None:
    """What is learned is remembered, and holds for a day."""
    sizes = Sizes(_LIMITS, Memory(at=0.0), _AT)
    assert (sizes.messages_per_session, sizes.max_recipients) == (1000, 100)
    sizes.too_many_messages(20, _AT)
    sizes.too_many_recipients(10, _AT + 1)
    memory = Memory.of({"at": _AT, **sizes.memory()})
    fresh, old = Sizes(_LIMITS, memory, _AT + 60), Sizes(_LIMITS, memory, _AT + FADE_S + 2)
    assert (fresh.messages_per_session, fresh.max_recipients) == (20, 10)
    assert (old.messages_per_session, old.max_recipients) == (1000, 100)


def test_what_the_configuration_says_is_not_remembered_as_learned() -> None:
    """After one size was learned, the other still follows a configuration that is raised before the next start."""
    sizes = Sizes(_LIMITS, Memory(at=0.0), _AT)
    sizes.too_many_messages(20, _AT)
    again = Sizes(Limits(20, 1000, 500), Memory.of({"at": _AT, **sizes.memory()}), _AT + 60)
    assert (again.messages_per_session, again.max_recipients) == (20, 500)


def test_a_configuration_that_is_reloaded_lowers_what_was_learned_and_does_not_raise_it() -> None:
    """The smaller of the two holds; what only the configuration had lowered goes up with it."""
    sizes = Sizes(_LIMITS, Memory(at=0.0), _AT)
    sizes.too_many_messages(20, _AT)
    sizes.fit(Limits(20, 5, 50))
    assert (sizes.messages_per_session, sizes.max_recipients) == (5, 50)
    sizes.fit(Limits(20, 500, 200))
    assert (sizes.messages_per_session, sizes.max_recipients) == (20, 200)


def test_what_a_receiver_announces_holds_for_now() -> None:
    """It is not remembered, and another session may hear another thing."""
    sizes = Sizes(_LIMITS, Memory(at=0.0), _AT)
    sizes.announced(Announced(messages=5, recipients=2, domains=1))
    assert (sizes.max_recipients, sizes.max_domains) == (2, 1)
    assert sizes.in_session(Announced(messages=5)) == 5
    assert sizes.in_session(Announced()) == 1000
    assert sizes.memory()["max_recipients"] is None
    sizes.announced(Announced(recipients=500))
    assert (sizes.max_recipients, sizes.max_domains) == (100, None)

"""Whole explanations of lanes: figures in, sentences out, as somebody reads them who has never seen the code."""

from __future__ import annotations

from typing import Any

import pytest

from sender.core.explain import explain_lane
from sender.core.explain.words import BLOCKS, BRIEFLY
from sender.core.window import Cause, Obstacle
from sender.smtp.habits import Way

from .figures import HOUR, MINUTE, NOW, TOO_MANY, change, lane

_LEARNED = change(9, 4, NOW - HOUR)


def _text(**facts: Any) -> str:  # noqa: ANN401 - any fact of a lane
    return "\n".join(explain_lane(lane(**facts), NOW))


def test_a_lane_that_was_throttled_an_hour_ago_tells_what_happened_and_what_will() -> None:
    """It names the window, the reply that taught it with its stage and host, the tries since, and the next step."""
    assert _text(
        window=4,
        growing=False,
        sessions=4,
        queued=1200,
        deferred=30,
        present_per_minute=240,
        blocked_by="window",
        next_change_at=NOW + 130,
        next_try_at=NOW + 130,
        history=[change(8, 9, NOW - HOUR - 5, "taken"), _LEARNED, change(4, 4, NOW - 12 * MINUTE, times=6)],
        taught=_LEARNED,
        tried={"refused": 6, "refused_at": NOW - 12 * MINUTE, "reply": TOO_MANY},
    ) == (
        "default/mx.example.org has a window of 4 sessions: so many may be open at a time "
        "(the configuration allows up to 100).\n"
        "Now 4 sessions are open, and 1,200 recipients wait, 30 of them for a later attempt.\n"
        "1h ago (08:30 UTC) the window went down from 9 to 4, where it has been since: with 4 sessions open the next "
        'one was refused at the banner by mx1.example.org: "421 4.7.0 mx1.example.org too many connections".\n'
        "Since then 6 tries of one session more were refused, the last 12m ago (09:18 UTC): "
        '"421 4.7.0 mx1.example.org too many connections".\n'
        "Mail waits because every session that the receiver allows is in use.\n"
        "One session more is tried in 2m 10s (09:32 UTC).\n"
        "If it is taken, the window becomes 5 and goes on growing until one is refused; "
        "if it is refused, the window stays 4 and the next try comes later.\n"
        "At the present rate, 240 per minute, what is due is delivered in 4m 52s."
    )


def test_a_try_that_deliveries_have_to_pay_for_says_how_many() -> None:
    """While deliveries are owed for refused tries, the next one has a latest instant and a number."""
    assert _text(
        window=4,
        growing=False,
        sessions=4,
        queued=12,
        blocked_by="window",
        next_change_at=NOW + 1300,
        next_try_at=NOW + 1300,
        probe_debt=1,
        history=[_LEARNED],
        taught=_LEARNED,
    ).endswith(
        "No more has been tried since.\n"
        "Mail waits because every session that the receiver allows is in use.\n"
        "One session more is tried in 21m 40s (09:51 UTC), or sooner, as soon as 1 more delivery has made up for those "
        "refused.\n"
        "If it is taken, the window becomes 5 and goes on growing until one is refused; "
        "if it is refused, the window stays 4 and the next try comes later.\n"
        "Nothing was delivered in the last minute."
    )


def test_a_lane_that_grew_again_tells_the_fall_and_the_way_back() -> None:
    """What lowered the window comes first, then what was taken and refused since, and where it is now."""
    grown = [change(4 + step, 5 + step, NOW - 10 * MINUTE + step, "taken") for step in range(3)]
    assert _text(
        window=7,
        growing=False,
        sessions=3,
        queued=200,
        deferred=200,
        next_try_at=NOW + 40,
        history=[_LEARNED, *grown, change(7, 7, NOW - 9 * MINUTE)],
        taught=_LEARNED,
        tried={
            "taken": 3,
            "taken_from": 4,
            "taken_at": NOW - 598,
            "refused": 1,
            "refused_at": NOW - 9 * MINUTE,
            "reply": TOO_MANY,
        },
    ) == (
        "default/mx.example.org has a window of 7 sessions: so many may be open at a time "
        "(the configuration allows up to 100).\n"
        "Now 3 sessions are open, and 200 recipients wait, all of them for a later attempt.\n"
        "1h ago (08:30 UTC) the window went down from 9 to 4: with 4 sessions open the next one was refused "
        'at the banner by mx1.example.org: "421 4.7.0 mx1.example.org too many connections".\n'
        "Since then 3 sessions more were taken, the last 9m 58s ago (09:20 UTC); "
        "1 try of one session more was refused, 9m ago (09:21 UTC): "
        '"421 4.7.0 mx1.example.org too many connections".\n'
        "9m 58s ago (09:20 UTC) the window came to 7, where it has been since.\n"
        "Its last 4 changes: 9 → 4 → 5 → 6 → 7.\n"
        "No mail is due for it now.\n"
        "When every session is in use and mail waits, one session more is tried, at the earliest in 40s.\n"
        "If it is taken, the window becomes 8 and goes on growing until one is refused; "
        "if it is refused, the window stays 7 and the next try comes later."
    )


def test_a_lane_that_has_just_begun_says_that_nothing_was_refused() -> None:
    """A lane without a history is at its starting value, and will open sessions until one is refused."""
    assert _text() == (
        "default/mx.example.org has a window of 5 sessions: so many may be open at a time "
        "(the configuration allows up to 100).\n"
        "Now no session is open, and no recipient waits.\n"
        "That is its starting value: no session has been refused yet.\n"
        "No mail is due for it now.\n"
        "While mail waits it opens one session after another, until one is refused."
    )


def test_a_lane_that_grows_for_the_first_time_counts_what_was_taken() -> None:
    """Before anything was refused, the sessions that were taken are counted from the starting value."""
    history = [change(4 + step, 5 + step, NOW - 30 + step, "taken") for step in range(1, 8)]
    assert _text(
        window=12,
        sessions=13,
        queued=800,
        present_per_minute=900,
        blocked_by="opening",
        history=history,
        tried={"taken": 7, "taken_from": 5, "taken_at": NOW - 23},
    ) == (
        "default/mx.example.org has a window of 12 sessions: so many may be open at a time "
        "(the configuration allows up to 100).\n"
        "Now 13 sessions are open, and 800 recipients wait.\n"
        "From 5 on, 7 sessions more were taken, the last 23s ago; none was refused.\n"
        "23s ago the window came to 12, where it has been since.\n"
        "Its last 6 changes: 6 → 7 → 8 → 9 → 10 → 11 → 12.\n"
        "Mail waits because a session is being opened, and the next one follows when the receiver has taken it.\n"
        "At the present rate, 900 per minute, what is due is delivered in 53s."
    )


def test_a_lane_that_is_held_for_overload_says_until_when() -> None:
    """An overloaded receiver is left alone, and then gets what the window was lowered to."""
    busy = change(4, 2, NOW - 10, "overloaded", stage="mail", reply="421 4.3.2 system busy")
    assert _text(
        window=2, growing=False, queued=90, blocked_by="hold", next_change_at=NOW + 20, history=[busy], taught=busy
    ) == (
        "default/mx.example.org has a window of 2 sessions: so many may be open at a time "
        "(the configuration allows up to 100).\n"
        "Now no session is open, and 90 recipients wait.\n"
        "10s ago the window went down from 4 to 2, where it has been since: the receiver said in reply to MAIL FROM "
        'by mx1.example.org that it has too much to do: "421 4.3.2 system busy".\n'
        "No more has been tried since.\n"
        "Mail waits because the receiver said that it has too much to do: nothing is sent until that is over, in 20s.\n"
        "Then it goes on with up to 2 sessions.\n"
        "Nothing was delivered in the last minute."
    )


def test_a_lane_that_is_blocked_says_how_it_comes_back() -> None:
    """After a block for reputation everything waits, then one session is tried."""
    blocked = change(40, 1, NOW - 100, "blocked", stage="mail", reply="421 4.7.0 IP blocked")
    assert _text(
        window=1, queued=90, blocked_by="hold", next_change_at=NOW + 800, history=[blocked], taught=blocked
    ).endswith(
        "1m 40s ago (09:28 UTC) the window went down from 40 to 1, where it has been since: the receiver refused us "
        'for our reputation in reply to MAIL FROM by mx1.example.org: "421 4.7.0 IP blocked".\n'
        "No more has been tried since.\n"
        "Mail waits because the receiver refused us for our reputation: nothing is sent until that is over, "
        "in 13m 20s (09:43 UTC).\n"
        "Then one session is tried; when it delivers, the window grows again.\n"
        "Nothing was delivered in the last minute."
    )


def test_a_lane_that_is_paced_says_what_taught_the_pace() -> None:
    """A pace is told as a rate, with the reply that asked for it and how it rises."""
    paced = {"at": NOW - HOUR, "per_second": 1.0, "stage": "mail", "host": "mx1.example.org", "reply": "451 slow down"}
    facts = {"sessions": 2, "queued": 90, "blocked_by": "pace", "next_change_at": NOW + 0.4, "present_per_minute": 74}
    assert _text(messages_per_second=1.234, paced=paced, **facts).endswith(
        "That is its starting value: no session has been refused yet.\n"
        "At most 1.23 messages per second are started, because more were refused in reply to MAIL FROM "
        'by mx1.example.org 1h ago (08:30 UTC): "451 slow down".\n'
        "It rises step by step while nothing is refused for it.\n"
        "Mail waits because the receiver takes only so many messages per second; it goes on in a moment.\n"
        "At the present rate, 74 per minute, what is due is delivered in 1m 13s."
    )
    assert "At most 30 messages per minute are started, as was remembered." in _text(messages_per_second=0.5, **facts)


def test_a_lane_that_cannot_connect_says_what_happened_and_when_it_tries_again() -> None:
    """A failed connection is told with its words, whether mail is due now or was put off meanwhile."""
    failure = "mx1.example.org[192.0.2.1]: while connecting: connection refused"
    assert _text(
        queued=90, deferred=10, blocked_by="connect_failed", next_change_at=NOW + 200, connect_failure=failure
    ).endswith(
        "Now no session is open, and 90 recipients wait, 10 of them for a later attempt.\n"
        "That is its starting value: no session has been refused yet.\n"
        "Mail waits because no connection to the receiver can be made: "
        "mx1.example.org[192.0.2.1]: while connecting: connection refused.\n"
        "It is tried again in 3m 20s (09:33 UTC); each time that it fails, the wait is doubled.\n"
        "Nothing was delivered in the last minute."
    )
    assert _text(queued=9, deferred=9, connect_failure=failure, next_connect_at=NOW + 20).endswith(
        "The last attempt to connect ended so: mx1.example.org[192.0.2.1]: while connecting: connection refused. "
        "The next may be made in 20s.\n"
        "No mail is due for it now.\n"
        "While mail waits it opens one session after another, until one is refused."
    )


@pytest.mark.parametrize(("scheduled", "are"), [(1, "1 that is"), (3000, "3,000 that are")])
def test_what_is_to_be_sent_later_is_not_due(scheduled: int, are: str) -> None:
    """Mail that was scheduled is told apart, and nothing holds it back or is promised for it."""
    text = _text(queued=scheduled + 2, deferred=2, scheduled=scheduled)
    assert f"{scheduled + 2:,} recipients wait, 2 of them for a later attempt, {are} to be sent later." in text
    assert "No mail is due for it now." in text


@pytest.mark.parametrize("blocked_by", ["suspended", ""], ids=["with a claim", "without one"])
def test_a_lane_that_is_suspended_says_by_what_and_for_how_long(blocked_by: str) -> None:
    """An operator's suspension is told with its reason and its end, whether the lane has claimed mail or not."""
    held = {"what": "site mx.example.org", "since": NOW - 600, "until": NOW + HOUR, "reason": "they asked"}
    assert explain_lane(lane(queued=90, blocked_by=blocked_by, suspension=held), NOW)[-1] == (
        'An operator suspended site mx.example.org 10m ago (09:20 UTC) ("they asked"); '
        "it goes when it is resumed, and by itself in 1h (10:30 UTC)."
    )


def test_a_lane_that_sleeps_tells_what_it_knew() -> None:
    """What a lane without mail has learned is told with the instant that it holds for; so is that none serves it."""
    facts = {
        "window": 4,
        "growing": False,
        "blocked_by": "asleep",
        "remembered_at": NOW - 5 * HOUR,
        "history": [_LEARNED],
        "taught": _LEARNED,
    }
    assert _text(**facts).endswith(
        "No mail is due for it now.\n"
        "This is what was known when it was last at work, 5h ago (04:30 UTC).\n"
        "It fades within a day; the next mail begins with what is left of it."
    )
    assert "Nobody serves it: its mail goes when a delivering daemon runs.\n" in _text(**facts, queued=3)


def test_a_lane_after_a_restart_tells_what_it_began_with() -> None:
    """After an unclean stop it begins with less than was known, and says why; what taught the limit is still there."""
    taught = change(60, 50, NOW - 3 * HOUR)
    assert _text(
        window=40,
        growing=False,
        queued=3,
        sessions=3,
        present_per_minute=10,
        began_at=NOW - 5 * MINUTE,
        remembered_age_s=42.0,
        history=[taught, change(50, 40, NOW - 5 * MINUTE, "remembered")],
        taught=taught,
        next_try_at=NOW - 3,
    ) == (
        "default/mx.example.org has a window of 40 sessions: so many may be open at a time "
        "(the configuration allows up to 100).\n"
        "Now 3 sessions are open, and 3 recipients wait.\n"
        "3h ago (06:30 UTC) the window went down from 60 to 50: with 50 sessions open the next one was refused "
        'at the banner by mx1.example.org: "421 4.7.0 mx1.example.org too many connections".\n'
        "No more has been tried since.\n"
        "5m ago (09:25 UTC) 50 was remembered as 40, since receivers may count the sessions of an unclean stop for a "
        "while.\n"
        "This lane began to work 5m ago (09:25 UTC), with what was remembered from 42s before.\n"
        "Nothing holds it back.\n"
        "When every session is in use and mail waits, one session more is tried.\n"
        "If it is taken, the window becomes 41 and goes on growing until one is refused; "
        "if it is refused, the window stays 40 and the next try comes later.\n"
        "At the present rate, 10 per minute, what is due is delivered in 18s."
    )


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (
            change(4, 8, NOW - 90, "operator", act="set", reason="they raised it"),
            '1m 30s ago (09:28 UTC) an operator set the window from 4 to 8: "they raised it".',
        ),
        (
            change(8, 8, NOW - 2 * 86400, "operator", act="set"),
            "2d ago an operator set the window to 8, which it was.",
        ),
        (
            change(4, 5, NOW - 9, "operator", act="forget"),
            "9s ago an operator had it forget what it had learned, and the window went from 4 to 5.",
        ),
        (
            change(5, 4, NOW - 0.5, "operator", act="import"),
            "Just now an operator brought what had been learned, and the window went from 5 to 4.",
        ),
        (
            change(50, 28, NOW - 60, "remembered"),
            (
                "1m ago (09:29 UTC) 50 was remembered as 28, since receivers may count the sessions of an unclean stop "
                "for a while."
            ),
        ),
        (
            change(2, 4, NOW - 60, "remembered"),
            "1m ago (09:29 UTC) 2 was remembered as 4, since what is remembered fades within a day.",
        ),
    ],
)
def test_what_an_operator_did_and_what_was_remembered_is_told(told: dict[str, Any], sentence: str) -> None:
    """An operator's word is told with its reason; what was remembered differently, with why."""
    assert explain_lane(lane(history=[told]), NOW)[2] == sentence


def test_tries_after_an_operators_word_are_counted_from_it() -> None:
    """What was taken since an operator set the window is told as that."""
    history = [change(4, 8, NOW - 90, "operator", act="set"), change(8, 9, NOW - 20, "taken")]
    tried = {"taken": 1, "taken_from": 8, "taken_at": NOW - 20}
    assert explain_lane(lane(window=9, history=history, tried=tried), NOW)[2:5] == [
        "1m 30s ago (09:28 UTC) an operator set the window from 4 to 8.",
        "Since then 1 session more was taken, 20s ago.",
        "20s ago the window came to 9, where it has been since.",
    ]


def test_a_limit_that_was_found_without_a_fall_is_told_as_found() -> None:
    """Where growth was refused at what was open, nothing was lowered, and the limit is told as found."""
    found = change(12, 12, NOW - HOUR)
    assert explain_lane(lane(window=12, growing=False, history=[found], taught=found), NOW)[2] == (
        "1h ago (08:30 UTC) the limit of 12 was found, where it has been since: with 12 sessions open the next one "
        'was refused at the banner by mx1.example.org: "421 4.7.0 mx1.example.org too many connections".'
    )


def test_a_lane_that_shares_its_window_says_with_whom_and_whose_turn_it_is() -> None:
    """The lanes that share are named, a few of them, with what they have open together."""
    others = [f"default/{name}.mail.protection.outlook.com" for name in ("a", "b", "c", "d", "e")]
    sentences = explain_lane(
        lane(window=4, growing=False, sessions=0, share_sessions=4, queued=7, shared_with=others, blocked_by="turn"),
        NOW,
    )
    assert sentences[2] == (
        "The window is shared with default/a.mail.protection.outlook.com, default/b.mail.protection.outlook.com, "
        "default/c.mail.protection.outlook.com and 2 more: together they have 4 sessions open."
    )
    assert sentences[-2] == (
        "Mail waits because another lane that shares the window goes first. "
        "It is called when a session of theirs ends, or when one more may be opened."
    )


def test_a_refusal_within_the_window_says_what_both_outcomes_mean() -> None:
    """A session that is tried again within the window either leaves it or makes it what is open."""
    assert _text(window=4, growing=False, sessions=3, queued=9, blocked_by="retry", next_change_at=NOW + 2).endswith(
        "Mail waits because a session within the window was just refused. It is tried again in 2s.\n"
        "If it is taken, the window stays 4; if it is refused again, the window becomes what is open then "
        "(3 now, but at least 1).\n"
        "Nothing was delivered in the last minute."
    )


@pytest.mark.parametrize(
    "obstacle", [*Obstacle, "turn", "pace", "max_sessions", "spool", "suspended", "connect_failed", "daily_limit"]
)
def test_every_obstacle_has_words(obstacle: str) -> None:
    """Nothing that holds a lane back is shown by its bare name, and each is the end of a sentence."""
    sentences = explain_lane(lane(blocked_by=str(obstacle), queued=1), NOW)
    assert not any(f"because {obstacle}" in sentence for sentence in sentences)
    assert all(sentence.endswith(".") and ".." not in sentence for sentence in sentences)


def test_every_obstacle_has_few_words() -> None:
    """What is said in a sentence is said in a column too."""
    assert {*BLOCKS, "asleep"} == BRIEFLY.keys()
    assert all(len(words) <= 20 for words in BRIEFLY.values())


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_words(cause: Cause) -> None:
    """No cause of a change is shown by its bare name, whether it is the lesson or the last change."""
    entry = change(2, 1, NOW - 100, cause=str(cause))
    for taught in (entry, None) if entry["reply"] else (None,):
        text = "\n".join(explain_lane(lane(history=[entry], taught=taught), NOW))
        assert f": {cause}" not in text
        assert "{" not in text


@pytest.mark.parametrize("way", Way)
def test_what_a_receiver_mishandles_is_told_with_what_it_gets_instead(way: Way) -> None:
    """A lane that saves no round trips on some way says so, for every way there is."""
    told = [sentence for sentence in explain_lane(lane(mishandled=[way.value]), NOW) if "mishandles" in sentence]
    assert len(told) == 1
    assert "it gets" in told[0]
    assert not any("mishandles" in sentence for sentence in explain_lane(lane(), NOW))

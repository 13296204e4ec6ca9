"""Plain sentences about lanes and recipients."""

from __future__ import annotations

from typing import Any

import pytest

from sender.core.explain import explain_lane, explain_recipient
from sender.core.window import Cause, Obstacle
from sender.smtp.habits import Way

_NOW = 1000.0


def _change(before: int, after: int, at: float, cause: str = "refused", reply: str = "421 too many") -> dict[str, Any]:
    return {"from": before, "to": after, "at": at, "cause": cause, "stage": "banner", "reply": reply}


def _lane(**facts: Any) -> dict[str, Any]:  # noqa: ANN401 - any fact of a lane
    return {
        "name": "default/mx.example.org",
        "window": 4,
        "max_window": 100,
        "sessions": 3,
        "queued": 1200,
        "history": [],
        "blocked_by": "",
        "next_change_at": None,
        "growing": False,
        "probe_debt": 0,
        "delivered_per_minute": 60,
        **facts,
    }


def _recipient(**facts: Any) -> dict[str, Any]:  # noqa: ANN401 - any fact of a recipient
    return {"state": "queued", "history": [], "due_at": _NOW - 1, "attempts": 0, **facts}


def test_a_lane_is_introduced_by_its_figures() -> None:
    """The first sentence has the window, its maximum, the sessions and what is queued."""
    assert explain_lane(_lane(), _NOW)[0] == (
        "default/mx.example.org has a window of 4 sessions (at most 100), 3 in use, and 1,200 recipients queued."
    )
    assert "has a window of 1 session (at most 100)" in explain_lane(_lane(window=1), _NOW)[0]


def test_a_lane_without_changes_says_that_nothing_was_refused() -> None:
    """A window at its starting value is explained by that."""
    assert "It is at its starting value: nothing was refused yet." in explain_lane(_lane(), _NOW)


@pytest.mark.parametrize("way", Way)
def test_what_a_receiver_mishandles_is_told_with_what_it_gets_instead(way: Way) -> None:
    """A lane that saves no round trips on some way says so, for every way there is."""
    told = [sentence for sentence in explain_lane(_lane(mishandled=[way.value]), _NOW) if "mishandles" in sentence]
    assert len(told) == 1
    assert "it gets" in told[0]
    assert not any("mishandles" in sentence for sentence in explain_lane(_lane(), _NOW))


def test_the_last_change_is_told_with_the_reply_that_taught_it() -> None:
    """A change is told with its time, its cause, its stage and the reply."""
    sentences = explain_lane(_lane(history=[_change(9, 4, 940.0)]), _NOW)
    assert sentences[1] == (
        'The window went from 9 to 4 1m ago because the next session was refused at the banner ("421 too many").'
    )


def test_a_window_that_grew_since_tells_when_it_was_last_lowered() -> None:
    """After a rise the last fall is told too, and the path of the last changes."""
    history = [_change(50, 9, 500.0), _change(9, 4, 900.0), _change(4, 5, 999.5, cause="taken", reply="")]
    sentences = explain_lane(_lane(history=history), _NOW)
    assert sentences[1] == "The window went from 4 to 5 just now because one more session was taken."
    assert sentences[2].startswith("It was last lowered 1m 40s ago, from 9 to 4, because the next session was refused")
    assert sentences[3] == "Its last 3 changes: 50 → 9 → 4 → 5."


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (
            {"growing": True},
            "It opens one session after another while mail waits, until one is refused.",
        ),
        (
            {"next_change_at": 1030.0, "probe_debt": 1},
            (
                "Nothing holds it back; when all sessions are in use, one more is tried, in 30s, "
                "once 1 more delivery has paid for the last refused try."
            ),
        ),
        (
            {"blocked_by": "window", "next_change_at": 1030.0, "probe_debt": 1000},
            (
                "Mail waits because every session that the receiver allows is in use; "
                "one more is tried, in 30s (sooner, after 1,000 more deliveries)."
            ),
        ),
        (
            {"blocked_by": "suspended"},
            "Mail waits because an operator has suspended it; it goes on when that has changed.",
        ),
        (
            {"blocked_by": "asleep"},
            "No mail goes this way now; what it has learned is remembered.",
        ),
    ],
)
def test_what_holds_a_lane_and_what_comes_next_is_a_sentence(facts: dict[str, Any], sentence: str) -> None:
    """The state of a lane says what mail waits for and when that changes."""
    assert sentence in explain_lane(_lane(**facts), _NOW)


@pytest.mark.parametrize("obstacle", Obstacle)
def test_every_obstacle_has_words(obstacle: Obstacle) -> None:
    """No obstacle of the window is shown by its bare name."""
    sentence = explain_lane(_lane(blocked_by=str(obstacle)), _NOW)[-1]
    assert f"because {obstacle};" not in sentence


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_words(cause: Cause) -> None:
    """No cause of a change is shown by its bare name."""
    sentence = explain_lane(_lane(history=[_change(2, 1, 900.0, cause=str(cause))]), _NOW)[1]
    assert f"because {cause}" not in sentence
    assert "{" not in sentence


@pytest.mark.parametrize(
    ("recipient", "lane", "sentence"),
    [
        (_recipient(state="suspended"), None, "An operator holds it; it goes when it is resumed."),
        (_recipient(state="delivered"), None, "It is delivered; nothing more happens."),
        (_recipient(state="in_flight"), None, "It is being tried right now, or is about to be."),
        (
            _recipient(due_at=_NOW + 90, attempts=2),
            None,
            "It waits until its next attempt, in 1m 30s, because attempt 2 was deferred.",
        ),
        (
            _recipient(due_at=_NOW + 90),
            None,
            "It waits until its next attempt, in 1m 30s, because it was scheduled so.",
        ),
        (_recipient(), None, "It is due and goes as soon as its lane takes it; no lane serves it yet."),
        (
            _recipient(),
            _lane(queued=120, blocked_by="hold", next_change_at=_NOW + 30),
            (
                "It is due and goes as soon as its lane takes it: default/mx.example.org, with 120 recipients queued "
                "and 60 delivered per minute, so within 2m; it waits because the lane rests, because the receiver "
                "asked for it, and goes on in 30s."
            ),
        ),
    ],
)
def test_a_recipient_says_why_it_is_where_it_is(
    recipient: dict[str, Any], lane: dict[str, Any] | None, sentence: str
) -> None:
    """One sentence tells the state of a recipient and when it goes next."""
    assert explain_recipient(recipient, lane, _NOW) == sentence


def test_the_last_answer_is_told_with_its_host() -> None:
    """After an attempt the sentence is followed by what the receiver said."""
    history = [{"host": "mx.example.org", "reply": "450 later"}]
    text = explain_recipient(_recipient(due_at=_NOW + 5, attempts=1, history=history), None, _NOW)
    assert text.endswith("deferred. The last answer from mx.example.org was: 450 later")


@pytest.mark.parametrize(
    ("times", "words"), [(1, "confirmed 10s ago"), (3, "confirmed 3 times, the last time 10s ago")]
)
def test_a_limit_that_was_confirmed_is_told_apart_from_its_changes(times: int, words: str) -> None:
    """A refusal that changed nothing is told as a confirmation, with how often, beside the last change."""
    confirmed = {**_change(4, 4, 990.0), "times": times}
    sentences = explain_lane(_lane(history=[{**_change(9, 4, 940.0), "times": 1}, confirmed]), _NOW)
    assert sentences[1].startswith("The window went from 9 to 4 1m ago")
    assert any(f"The limit of 4 was {words}: the next session was refused" in sentence for sentence in sentences)

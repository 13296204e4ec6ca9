"""From records to figures."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sender.core.outcome import Reason, Scope
from sender.core.window import Cause, Change
from sender.simulation import answers
from sender.simulation.record import Record
from sender.simulation.report import Step, as_json, convergences, figures, way
from sender.simulation.run import Run, simulate
from sender.simulation.scenario import Scenario
from tests.unit.simulation.values import scenario

_FULL = answers.Answer(verdict=answers.said(Reason.CONNECTION_LIMIT, Scope.LANE))
_FAST = answers.Answer(verdict=answers.said(Reason.MESSAGE_RATE, Scope.LANE))


def _record(
    sessions: list[int], *, room: int | None = 10, per_second: int = 1, throttled_at: tuple[float, ...] = ()
) -> Record:
    """Give a record with so many sessions in each second."""
    record = Record()
    for second, open_ in enumerate(sessions):
        for at in throttled_at:
            if second - 1 < at <= second:
                record.throttled(at, _FAST)
        record.sample(float(second), open_=open_, limit=open_, room=room)
        record.delivered += per_second
    return record


def _run(*records: Record, complete: bool = False, **tables: Any) -> Run:  # noqa: ANN401 - as TOML has them
    tables = {"receiver": {"connections": 10}, **tables}
    return Run(
        scenario=scenario(**tables),
        controller="ours",
        seed=0,
        records=records,
        ended_at=records[0].at[-1],
        complete=complete,
        expired=0,
    )


def test_goodput_is_a_share_of_what_the_oracle_delivers() -> None:
    """Of the whole time and of its second half; throttles are counted for 1,000 messages."""
    ours = _run(_record([10] * 101, per_second=9, throttled_at=(5.0, 6.0, 80.0)))
    oracle = _run(_record([10] * 101, per_second=10))
    found = figures([ours], [oracle])
    assert found.goodput == pytest.approx(0.9)
    assert found.goodput_late == pytest.approx(0.9)
    assert found.per_thousand == pytest.approx(1000 * 3 / 909)
    assert found.per_thousand_late == pytest.approx(1000 * 1 / 450)
    assert found.reasons == {"message_rate": 3.0}


def test_the_goodput_of_a_campaign_is_the_oracles_time_in_parts_of_ours() -> None:
    """Both deliver everything: what differs is how long it takes."""
    mail = {"mail": {"messages": 100}}
    ours, oracle = _record([10] * 101), _record([10] * 81)
    found = figures([_run(ours, complete=True, **mail)], [_run(oracle, complete=True, **mail)])
    assert found.takes_s == 100.0
    assert found.goodput == pytest.approx(0.8)


def test_a_campaign_that_did_not_end_is_measured_by_what_it_delivered() -> None:
    """It takes nobody knows how long."""
    found = figures([_run(_record([10] * 51), mail={"messages": 100})], [_run(_record([10] * 101), complete=True)])
    assert found.takes_s is None
    assert found.goodput == pytest.approx(51 / 101)


def test_figures_are_means_over_the_seeds() -> None:
    """Of the goodput, the throttles and their reasons."""
    runs = [_run(_record([10] * 11, throttled_at=times)) for times in ((), (3.0, 4.0))]
    found = figures(runs, runs)
    assert (found.seeds, found.throttles, found.reasons) == (2, 1.0, {"message_rate": 1.0})


def test_the_largest_burst_is_counted_in_ten_seconds() -> None:
    """Throttles eleven seconds apart are no burst."""
    run = _run(_record([10] * 61, throttled_at=(1.0, 12.5, 20.0, 22.0, 40.0)))
    assert figures([run], [run]).burst == 3


def test_a_refused_session_is_counted_as_such() -> None:
    """It is a throttle, and a session."""
    record = _record([10] * 11)
    record.refused(3.0, _FULL)
    found = figures([_run(record)], [_run(record)])
    assert (found.throttles, found.sessions_refused) == (1.0, 1.0)


def test_several_senders_are_fair_when_they_deliver_alike() -> None:
    """Jain's index is 1 for equal shares, and 0.5 where one of two has everything."""
    alike = [_record([5] * 21, per_second=3), _record([5] * 21, per_second=3)]
    one = [_record([5] * 21, per_second=3), _record([5] * 21, per_second=0)]
    assert figures([_run(*alike)], [_run(*alike)]).fairness == pytest.approx(1.0)
    assert figures([_run(*one)], [_run(*one)]).fairness == pytest.approx(0.5)
    assert figures([_run(alike[0])], [_run(alike[0])]).fairness is None


def test_a_window_is_found_when_the_sessions_stay_near_to_what_is_allowed() -> None:
    """Seven of ten are not near, eight are; the mean of five seconds has to stay for twenty."""
    found = convergences(_run(_record([2] * 10 + [7] * 20 + [9] * 40)))
    assert [(one.what, one.at, one.allowed, one.after_s) for one in found] == [("start", 0.0, 10, 31.0)]


def test_a_window_that_is_never_found_is_said_to_be() -> None:
    """Half of what is allowed is not near."""
    assert [one.after_s for one in convergences(_run(_record([5] * 100)))] == [None]


def test_each_change_and_each_event_begins_another_search() -> None:
    """What came before the change is averaged in, as one who looks on would."""
    receiver = {"connections": 10, "changes": [{"at": "60s", "connections": 4}]}
    record = Record()
    for second in range(200):
        cap = 10 if second < 60 else 4
        record.sample(float(second), open_=cap, limit=cap, room=cap)
    found = convergences(_run(record, receiver=receiver, events=[{"at": "120s", "what": "restart"}]))
    assert [(one.what, one.at, one.allowed) for one in found] == [
        ("start", 0.0, 10),
        ("connections", 60.0, 4),
        ("restart", 120.0, 4),
    ]
    assert [one.after_s for one in found] == [0.0, 3.0, 0.0]


@pytest.mark.parametrize(
    "tables",
    [
        {"receiver": {}},
        {"receiver": {"connections": 10, "others": {"sessions": 3.0}}},
        {"receiver": {"connections": 10, "rate": "5/s"}},
        {"sender": {"senders": 2}},
        {"mail": {"rate": "1/s"}},
    ],
)
def test_nothing_is_searched_where_something_else_than_a_cap_decides(tables: dict[str, Any]) -> None:
    """How many sessions there should be, nobody could say."""
    assert convergences(_run(_record([10] * 100), **tables)) == []


def test_the_way_of_a_window_is_told_in_steps() -> None:
    """Changes in one direction that follow each other closely are one step; confirmations are none."""
    record = Record()
    told = [
        *((1.0, 5, 6, Cause.TAKEN), (2.0, 6, 7, Cause.TAKEN), (3.0, 7, 7, Cause.REFUSED)),
        *((200.0, 7, 8, Cause.TAKEN), (300.0, 8, 3, Cause.REFUSED_INSIDE)),
    ]
    record.note([Change(*change) for change in told])
    assert list(way(record)) == [
        Step(at=1.0, before=5, after=7, cause="taken", took_s=1.0),
        Step(at=200.0, before=7, after=8, cause="taken"),
        Step(at=300.0, before=8, after=3, cause="refused_inside"),
    ]


def test_the_way_of_one_who_tells_nothing_is_what_was_seen() -> None:
    """From second to second."""
    assert [(step.at, step.before, step.after) for step in way(_record([5, 5, 8, 3]))] == [(2.0, 5, 8), (3.0, 8, 3)]


def test_the_figures_are_json() -> None:
    """They can be written and read again."""
    chosen: Scenario = scenario(duration="1m", receiver={"connections": 3})
    runs = [simulate(chosen)]
    shown = as_json(chosen, 1, [figures(runs, runs)])
    assert json.loads(json.dumps(shown))["controllers"][0]["convergences"][0]["what"] == "start"

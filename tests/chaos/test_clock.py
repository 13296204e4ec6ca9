"""A clock that steps while mail waits: nothing comes back, nothing is forgotten, nothing comes all at once."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Any

import pytest

from sender.clock import Clock
from sender.sandbox import Behaviour
from sender.spool.contract import State
from tests.chaos.scale import in_full

if TYPE_CHECKING:
    from tests.chaos.report import Report
    from tests.scenes.world import World

_DAY_S = 86400.0
_RETRY = {"schedule": ["1h"], "jitter": 0.0, "max_age": "3d"}
_LONGEST_S = 86400.0  # a rest
_STEPS = (5 * _DAY_S, -_DAY_S, 3600.0, -3600.0, 3650 * _DAY_S, -20_000 * _DAY_S)


class _Wall:
    """A wall clock that can be set."""

    def __init__(self, world: World) -> None:
        self.wrong_s = 0.0
        world.clock = Clock(wall=self.now)

    def now(self) -> float:
        """Give seconds since 1970."""
        return time.time() + self.wrong_s

    def until(self, message: Any) -> float:  # noqa: ANN401 - JSON
        """Give the seconds until the next attempt for the only recipient."""
        (recipient,) = message["recipients"]
        return dt.datetime.fromisoformat(recipient["next_attempt_at"]).timestamp() - self.now()


async def _deferred(world: World) -> str:
    """Have a message deferred for an hour."""
    await world.site("later.test", Behaviour(greylist_s=1e9))
    await world.start({"retry": _RETRY})
    message_id = await world.send("user@later.test")
    await world.until("it was tried", lambda: world.books().most_attempts == 1)
    return message_id


async def _noticed(world: World, steps: int) -> None:
    async def told() -> bool:
        return (await world.metrics()).total("sender_clock_steps_total") == steps

    await world.until_true("the step is noticed", told)


@pytest.mark.parametrize("step_s", _STEPS if in_full() else _STEPS[:2], ids=str)
async def test_k1_k2_a_step_of_the_clock_makes_no_mail_older_and_none_wait_longer(
    world: World, report: Report, step_s: float
) -> None:
    """Whatever the clock is set to, a deferred message goes after the hour that it had to wait, and does not expire."""
    wall = _Wall(world)
    first = await _deferred(world)
    wall.wrong_s = step_s
    await _noticed(world, 1)
    assert 3500 < wall.until(await world.json("message", first)) <= 3600
    assert world.books().most_attempts == 1  # it has not come at once
    await world.command("retry", "--all")
    await world.until("it was tried", lambda: world.books().most_attempts == 2)
    assert world.books().states == {State.QUEUED: 1}
    assert 3500 < wall.until(await world.json("message", first)) <= 3601
    second = await world.send("user@later.test")
    assert second > first
    report.held("K1" if step_s > 0 else "K2", runs=1, figures=f"{step_s / 3600:+,.0f} h while running: 0 expired")


@pytest.mark.parametrize("wrong_s", [400 * _DAY_S, 20_000 * _DAY_S], ids=str)
async def test_k2_a_clock_that_stood_too_late_lets_nobody_wait_for_long(
    world: World, report: Report, wrong_s: float
) -> None:
    """Mail that a wrong clock has dated goes within the longest wait once the clock is right, with new ids behind."""
    wall = _Wall(world)
    wall.wrong_s = wrong_s
    first = await _deferred(world)
    await world.stop()
    wall.wrong_s = 0.0
    await world.start()
    assert 0 < wall.until(await world.json("message", first)) <= _LONGEST_S * 1.01
    second = await world.send("user@later.test")
    assert second > first
    report.held("K2", runs=1, figures=f"{wrong_s / _DAY_S:,.0f} days too late before the start: due within a day")


async def test_k2_scheduled_mail_keeps_its_instant(world: World, report: Report) -> None:
    """What was to be sent at an instant goes at that instant, also after the clock was set."""
    wall = _Wall(world)
    await world.site("ok.test")
    await world.start({"retry": _RETRY})
    at = dt.datetime.fromtimestamp(wall.now() + 30 * _DAY_S - 60, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    code, text = await world.run(
        *("enqueue", "--config", str(world.folder / "sender.toml"), "--from", "news@origin.test"),
        *("--to", "user@ok.test", "--send-at", at, str(_written(world))),
    )
    assert code == 0, text
    wall.wrong_s = 2 * _DAY_S
    await _noticed(world, 1)
    assert world.books().states == {State.QUEUED: 1}
    wall.wrong_s = 30 * _DAY_S
    await world.until_empty()
    assert world.books().states == {State.DELIVERED: 1}
    report.held("K2", runs=1, figures="scheduled mail goes at its instant")


def _written(world: World) -> str:
    path = world.folder / "message.eml"
    path.write_bytes(world.message("user@ok.test").content)
    return str(path)
